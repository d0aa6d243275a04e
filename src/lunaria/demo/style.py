"""How the page looks, in light and in dark."""

STYLE = """
:root { color-scheme: light dark; --ink:#1d2530; --soft:#5d6b7a; --line:#dde3ea; --paper:#f7f9fb; --card:#fff;
  --good:#2f9e6e; --none:#b65f2a; --bar:#8fb8dd; --best:#2f7fd0; --note:#8a6100; --noted:#fff3d1; }
@media (prefers-color-scheme: dark) { :root { --ink:#e8edf3; --soft:#9aa7b5; --line:#2d3743; --paper:#141a21;
  --card:#1c242d; --good:#55c795; --none:#e39a64; --bar:#3f6384; --best:#5ba6ee; --note:#f0cd7a; --noted:#3a3220; } }
body { margin:0; background:var(--paper); color:var(--ink); font:16px/1.5 system-ui,sans-serif; }
main { max-width:1240px; margin:0 auto; padding:32px 20px 80px; }
h1 { margin:0 0 4px; } h2 { margin:44px 0 12px; } h3 { margin:0 0 12px; font-size:18px; }
h1.part { margin-top:72px; }
p { color:var(--soft); max-width:80ch; } a { color:var(--best); }
.cards { display:flex; flex-wrap:wrap; gap:20px; }
.card { background:var(--card); border:1px solid var(--line); border-radius:12px; overflow:hidden; }
.card { flex:1 1 300px; max-width:380px; }
.card img { display:block; width:100%; height:420px; object-fit:contain; background:#0d1117; }
.body { padding:12px 16px 16px; } .name { font-weight:600; font-size:18px; } .good { color:var(--good); }
.none { color:var(--none); } .file { color:var(--soft); font-size:13px; }
.bar { position:relative; height:22px; margin-top:8px; background:var(--line); border-radius:6px; overflow:hidden; }
.bar i { position:absolute; inset:0 auto 0 0; background:var(--good); opacity:.55; }
.bar b { position:absolute; top:0; bottom:0; width:2px; background:var(--none); }
.bar span { position:absolute; inset:0 10px; font-size:13px; line-height:22px; }
details { margin-top:10px; } summary { cursor:pointer; color:var(--soft); font-size:14px; }
pre { background:var(--paper); border:1px solid var(--line); border-radius:8px; padding:10px; overflow:auto;
  font-size:12px; max-height:280px; }
.legend { display:flex; flex-wrap:wrap; gap:4px 18px; margin:12px 0 24px; font-size:14px; color:var(--soft); }
.legend i { display:inline-block; width:12px; height:12px; border-radius:3px; margin-right:6px;
  border:1px solid #0006; vertical-align:-1px; }
.estimated { background:var(--card); border:1px solid var(--line); border-radius:12px; padding:18px 20px;
  margin-bottom:24px; }
.pictures { display:grid; grid-template-columns:minmax(0,300px) minmax(0,440px) minmax(0,1fr);
  gap:20px; }
.pictures img { display:block; width:100%; height:440px; object-fit:contain; background:#0d1117; border-radius:8px; }
.groups { display:grid; grid-template-columns:repeat(auto-fill,minmax(252px,1fr)); gap:4px 28px; margin-top:8px; }
@media (max-width:900px) { .pictures { grid-template-columns:1fr; } }
.group h4 { margin:12px 0 4px; font-size:14px; border-bottom:1px solid var(--line); padding-bottom:2px; }
.pictures .group:first-child h4 { margin-top:0; }
.meter, .fact { display:grid; gap:8px; font-size:13px; line-height:20px; align-items:center; }
.meter { grid-template-columns:112px 1fr 34px; } .fact { grid-template-columns:112px 1fr; }
.meter span:last-child { text-align:right; font-variant-numeric:tabular-nums; }
.meter, .fact > span:first-child { color:var(--soft); } .meter.best { color:var(--ink); font-weight:600; }
.meter div { position:relative; height:8px; border-radius:4px; background:var(--line); overflow:hidden; }
.meter i { position:absolute; inset:0 auto 0 0; background:var(--bar); } .meter.best i { background:var(--best); }
.meter b { position:absolute; top:0; bottom:0; width:2px; background:var(--none); }
.colour { display:inline-flex; align-items:center; gap:5px; margin-right:8px; color:var(--ink); }
.swatch { width:14px; height:14px; border-radius:4px; border:1px solid var(--soft); }
.swatch.blank { background:repeating-linear-gradient(45deg,transparent 0 3px,var(--line) 3px 6px); }
.research { font-style:normal; font-weight:500; font-size:11px; color:var(--note); background:var(--noted);
  border-radius:8px; padding:1px 7px; margin-left:8px; }
.mark { font-weight:700; }
.checks > div { display:grid; grid-template-columns:repeat(auto-fit,minmax(480px,1fr)); gap:0 32px; align-items:start; }
table { border-collapse:collapse; font-size:13px; width:100%; }
th { text-align:left; color:var(--soft); font-weight:500; } td, th { padding:2px 8px 2px 0; vertical-align:top;
  border-bottom:1px solid var(--line); }
td:first-child { white-space:nowrap; } td .research, p .research { margin-left:0; }
.together { display:block; width:100%; border-radius:8px; }
"""
