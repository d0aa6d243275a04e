"""The catalogue of errors: code, class text, detail, HTTP status.

One table feeds the envelope, the OpenAPI document and the errors page of the manual.
"""

from typing import Any, NamedTuple

from msgspec import Struct

BAD_INPUT = "Bad/incomplete input data"
NOT_FOUND = "Object not found"
FORBIDDEN = "Forbidden"
UNIQUE = "Unique constraint error"


class ErrorKind(NamedTuple):
    """One entry of the catalogue; `{}` in the detail marks an inserted value."""

    code: int
    status: int
    desc: str
    detail: str


class ErrorBody(Struct, frozen=True):
    """What a client gets for an error."""

    error_code: int
    desc: str
    detail: str
    link: str


_ENTRIES = (
    ErrorKind(0, 200, "Success", "Success"),
    ErrorKind(1, 500, "Internal server error", "Unknown error"),
    ErrorKind(10, 503, "Service unavailable", "{}"),
    ErrorKind(11, 503, "Service unavailable", "The server is busy: {}"),
    ErrorKind(12, 503, "Service unavailable", "The request was not processed within {} s"),
    ErrorKind(13, 408, "Request timeout", "The request did not arrive within {} s"),
    ErrorKind(14, 413, "Request entity too large", "The request body is larger than {} bytes"),
    ErrorKind(11027, 400, "External request failed", "Failed to download image by url '{}': {}"),
    ErrorKind(11028, 400, BAD_INPUT, "Bad content type of image '{}'"),
    ErrorKind(11029, 400, BAD_INPUT, "Bad content type of image in multipart body: {}"),
    ErrorKind(11030, 400, BAD_INPUT, "Image size is not equal to {}"),
    ErrorKind(11032, 404, NOT_FOUND, "Face with id '{}' does not have attributes yet"),
    ErrorKind(11034, 400, BAD_INPUT, "Descriptor for {} '{}' was not extracted"),
    ErrorKind(11036, 403, FORBIDDEN, "Credentials are required for requests which change state"),
    ErrorKind(11037, 400, BAD_INPUT, "Luna-Account-Id header is not UUID format"),
    ErrorKind(11038, 400, "Multiple faces found", "Multiple faces found in image '{}', detect {}"),
    ErrorKind(11041, 404, NOT_FOUND, "No face found with external id '{}'"),
    ErrorKind(11043, 400, BAD_INPUT, "{}"),
    ErrorKind(11044, 403, FORBIDDEN, "{} is turned off on this server"),
    ErrorKind(11048, 400, BAD_INPUT, "Multiple bounding boxes lists in request for image '{}'"),
    ErrorKind(11049, 400, BAD_INPUT, "Failed to read the multipart body: {}"),
    ErrorKind(11057, 404, NOT_FOUND, "No event found with {} '{}'"),
    ErrorKind(11059, 403, FORBIDDEN, "Token restrictions: '{}' permission for '{}' required"),
    ErrorKind(11060, 403, FORBIDDEN, "Token restrictions: '{}' resource permission required"),
    ErrorKind(11061, 403, FORBIDDEN, "Authorization with Luna-Account-Id is disabled"),
    ErrorKind(11062, 401, FORBIDDEN, "Specified token is corrupted or no longer valid"),
    ErrorKind(11064, 403, FORBIDDEN, "Access with token authorization denied"),
    ErrorKind(11065, 401, "Authorization failed", "{}"),
    ErrorKind(11067, 403, FORBIDDEN, "Token restrictions: generating events with handler '{}' is not allowed"),
    ErrorKind(11068, 403, FORBIDDEN, "Token restrictions: generating events is not allowed"),
    ErrorKind(11072, 403, FORBIDDEN, "The Lambda service is turned off on this server"),
    ErrorKind(12002, 400, BAD_INPUT, "Request does not contain valid {}: {}"),
    ErrorKind(12012, 400, BAD_INPUT, "Bad query parameters '{}': {}"),
    ErrorKind(12013, 404, "Resource not found", "Page not found"),
    ErrorKind(12017, 400, BAD_INPUT, "Bad content type '{}', allowed types: {}"),
    ErrorKind(12021, 405, "Method not allowed", "Method {} is not allowed for this resource"),
    ErrorKind(12022, 400, BAD_INPUT, "Failed to validate input json. Path: '{}', message: '{}'"),
    ErrorKind(12023, 406, BAD_INPUT, "Content type is unacceptable, allowed types: {}"),
    ErrorKind(12024, 415, "Unsupported media type", "Unsupported media type '{}', allowed types: {}"),
    ErrorKind(12030, 400, BAD_INPUT, "Request does not contain data"),
    ErrorKind(12036, 400, BAD_INPUT, "Descriptor version {} is not registered in the system"),
    ErrorKind(12039, 400, BAD_INPUT, "Unknown multipart name '{}'"),
    ErrorKind(12040, 400, BAD_INPUT, "Duplicate multipart name '{}'"),
    ErrorKind(12041, 400, BAD_INPUT, "Multipart with name '{}' has bad Content-Type"),
    ErrorKind(12046, 400, BAD_INPUT, "Invalid http request: {}"),
    ErrorKind(13003, 404, NOT_FOUND, "Image with id '{}' not found"),
    ErrorKind(13007, 404, NOT_FOUND, "Object with id '{}' not found"),
    ErrorKind(18001, 400, BAD_INPUT, "Failed to convert data from base64 to bytes"),
    ErrorKind(22001, 409, UNIQUE, "Face with the same attribute_id '{}' already exists"),
    ErrorKind(22002, 404, NOT_FOUND, "Face with id '{}' not found"),
    ErrorKind(22003, 404, NOT_FOUND, "List with id '{}' not found"),
    ErrorKind(22004, 404, "Objects not found", "One or more faces not found, including face with id '{}'"),
    ErrorKind(22005, 404, "Objects not found", "One or more lists not found, including list with id '{}'"),
    ErrorKind(22009, 400, BAD_INPUT, "Face avatar url '{}' is not correct"),
    ErrorKind(22010, 404, NOT_FOUND, "Attributes with id '{}' for update not found"),
    ErrorKind(22011, 404, NOT_FOUND, "Attributes with id '{}' not found"),
    ErrorKind(22016, 400, "Bad input data", "'{}' is not a valid target, valid: {}"),
    ErrorKind(22018, 404, NOT_FOUND, "Descriptor of version {} is not found for object with id '{}'"),
    ErrorKind(22022, 400, BAD_INPUT, "Attribute does not contain 'descriptors' and 'basic_attributes'"),
    ErrorKind(22024, 400, BAD_INPUT, "Attribute contains descriptors of identical versions: '{}'"),
    ErrorKind(23001, 404, NOT_FOUND, "Event with id '{}' not found"),
    ErrorKind(23002, 404, "Objects not found", "One or more events not found, including event with id '{}'"),
    ErrorKind(23005, 400, "Bad input data", "'{}' is not a valid target of events, valid: {}"),
    ErrorKind(31007, 400, "Bad input data", "The number of references exceeds the limit {}"),
    ErrorKind(32008, 400, "Face detection error", "{}"),
    ErrorKind(32017, 400, "Bad input data", "Too many faces detected: {}"),
    ErrorKind(34000, 404, NOT_FOUND, "Handler with id '{}' not found"),
    ErrorKind(34002, 500, "Internal server error", "The policies of handler '{}' cannot be read: {}"),
    ErrorKind(34004, 404, NOT_FOUND, "Verifier with id '{}' not found"),
    ErrorKind(34005, 400, BAD_INPUT, "Candidates limit exceeded: {} > {}"),
    ErrorKind(34007, 403, FORBIDDEN, "Handler with id '{}' is not dynamic"),
    ErrorKind(34008, 400, "Multiple bodies found", "Multiple bodies found in image '{}', detect {}"),
    ErrorKind(38001, 502, "Health check error", "{}"),
    ErrorKind(41001, 409, UNIQUE, "Account with login '{}' already exists"),
    ErrorKind(41002, 409, UNIQUE, "Account with account_id '{}' already exists"),
    ErrorKind(41003, 404, NOT_FOUND, "Token '{}' not found"),
    ErrorKind(41004, 404, NOT_FOUND, "Account '{}' not found"),
    ErrorKind(41005, 401, "JWT token not found", "The token does not exist"),
    ErrorKind(41006, 401, "Account credentials wrong", "Login or password is incorrect"),
    ErrorKind(41007, 401, "Account credentials wrong", "The token has expired"),
    ErrorKind(41008, 400, BAD_INPUT, "Specified token is corrupted"),
    ErrorKind(100007, 400, "Invalid descriptor", "{}"),
    ErrorKind(100010, 400, "Invalid image", "{}"),
    ErrorKind(100011, 400, "Invalid image format", "{}"),
    ErrorKind(100012, 400, "Invalid image size", "{}"),
    ErrorKind(100016, 400, "Invalid rectangle", "{}"),
    ErrorKind(100029, 400, "Unsupported image format", "{}"),
)

CATALOGUE: dict[int, ErrorKind] = {entry.code: entry for entry in _ENTRIES}


class ApiError(Exception):
    """An error of the catalogue with the values of this case.

    Raised anywhere below a route; the edge turns it into the envelope. Raises KeyError for a code that is
    not in the catalogue.
    """

    def __init__(self, code: int, *values: Any, headers: dict[str, str] | None = None) -> None:
        self.kind = CATALOGUE[code]
        self.detail = self.kind.detail.format(*values)
        self.headers = headers or {}
        super().__init__(f"{code}: {self.detail}")

    @property
    def code(self) -> int:
        return self.kind.code

    @property
    def status(self) -> int:
        return self.kind.status


class ErrorLinks:
    """Shapes errors for the wire, each with the address of its page."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    def body(self, error: ApiError) -> ErrorBody:
        return ErrorBody(error.code, error.kind.desc, error.detail, f"{self._prefix}{error.code}")

    def success(self) -> ErrorBody:
        """The `error` of an item that went well (code 0)."""
        return self.body(ApiError(0))
