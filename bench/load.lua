-- For wrk: sends the prepared requests of a file one after the other. When they are to be sent once only, it stops
-- when as many were answered as there are; else it begins anew. The file is a Lua table:
-- {once = true, {method, path, headers, body}, ...}. At the end it prints one line of JSON.

local requests, place = nil, 0
answered, failed, first_failure = 0, 0, 0

function init(arguments)
  requests = dofile(arguments[1])
  for number, request in ipairs(requests) do
    requests[number] = wrk.format(request[1], request[2], request[3], request[4])
  end
end

function request()
  place = place % #requests + 1
  return requests[place]
end

function response(status)
  answered = answered + 1
  if status < 200 or status > 299 then
    failed = failed + 1
    if first_failure == 0 then first_failure = status end
  end
  if requests.once and answered >= #requests then
    wrk.thread:stop()
  end
end

local threads = {}
function setup(thread)
  table.insert(threads, thread)
end

function done(summary, latency)
  local thread = threads[1]
  print(string.format(
    '{"requests": %d, "seconds": %f, "failed": %d, "first_failure": %d, "broken": %d, "mean_ms": %f, "median_ms": %f, "p99_ms": %f}',
    thread:get("answered"), summary.duration / 1e6, thread:get("failed"), thread:get("first_failure"),
    summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout,
    latency.mean / 1e3, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
