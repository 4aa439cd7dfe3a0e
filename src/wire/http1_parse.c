/* Two readers share the work.  The parser reads a head that is whole, in one pass over its bytes.  The
 * scan only looks for the end of a head that arrives in pieces, from where it stopped; it decides when the
 * parser is asked again, which is at most three times a head: at first, at the end of the first line, and
 * at the end or where the scan sees that there is an error.  What the head says, and which error it has,
 * is the parser's word alone. */
#include "wire/http1_parse.h"

#include "wire/chars.h"
#include "wire/uri.h"

/* ---- the parser ----
 *
 * Its functions return true, or false with p->error set: to HTTP1_OK where the bytes run out.  What they
 * say about a byte depends on nothing behind it, so that a longer input never has another error. */

enum { SPECIAL_LAST = HTTP_TE }; /* ids up to this one say something about the message itself */

struct parser {
	const uint8_t *at;
	const uint8_t *end;
	const uint8_t *floor; /* the first byte of the input */
	enum http1_error error;
	bool in_first_line;
	uint64_t seen;
	uint64_t twice;			  /* ids that came more than once */
	uint16_t first[SPECIAL_LAST + 1]; /* index of the first field with the id, if seen */
};

static bool fail(struct parser *p, enum http1_error error)
{
	p->error = error;
	return false;
}

static bool starve(struct parser *p)
{
	return fail(p, HTTP1_OK);
}

/* ---- field lines ---- */

/* The name at p->at, with p->at left behind the colon. */
static bool name_parse(struct parser *p, struct http_field *out)
{
	const uint8_t *name = p->at;
	const uint8_t *colon = chars_find_colon(name, p->end, p->floor);
	const bool is_quick = colon != NULL;
	enum http_id id = HTTP_OTHER;

	if (is_quick)
		id = http_id_of((const char *)name, (size_t)(colon - name));
	if (id == HTTP_OTHER) { /* a name from the table needs no look at its characters */
		colon = chars_skip(name, p->end, CHAR_TOKEN);
		if (colon == p->end)
			return starve(p);
		if (*colon != ':' || colon == name)
			return fail(p, HTTP1_ERR_NAME);
		if (colon - name > UINT16_MAX)
			return fail(p, HTTP1_ERR_HEAD_LONG);
		if (!is_quick) /* the quick search looks no further than the end, in whole vectors */
			id = http_id_of((const char *)name, (size_t)(colon - name));
	}
	out->name = (const char *)name;
	out->name_len = (uint16_t)(colon - name);
	out->id = (uint8_t)id;
	p->at = colon + 1;
	return true;
}

/* The line end at p->at. */
static bool line_end_parse(struct parser *p, enum http1_error other)
{
	if (p->at == p->end)
		return starve(p);
	if (*p->at != '\r')
		return fail(p, *p->at == '\n' ? HTTP1_ERR_LINE_END : other);
	if (p->end - p->at < 2)
		return starve(p);
	if (p->at[1] != '\n')
		return fail(p, HTTP1_ERR_LINE_END);
	p->at += 2;
	return true;
}

static bool field_parse(struct parser *p, struct http_field *out)
{
	const uint8_t *value, *last;

	if (!name_parse(p, out))
		return false;
	value = p->at;
	while (value < p->end && char_is_space(*value))
		value++;
	last = p->at = chars_skip_value(value, p->end, p->floor);
	if (!line_end_parse(p, HTTP1_ERR_VALUE))
		return false;
	while (last > value && char_is_space(last[-1]))
		last--;
	out->value = (const char *)value;
	out->value_len = (uint32_t)(last - value);
	return true;
}

/* Field lines and the empty line; `out` gets its fields, their count and the set of ids. */
static bool fields_parse(struct parser *p, struct http_head *out, uint32_t cap)
{
	uint64_t seen = 0, twice = 0;
	uint32_t count = 0;

	for (;; count++) {
		struct http_field *f;

		if (p->at == p->end)
			return starve(p);
		if (*p->at == '\r' || *p->at == '\n')
			break;
		if (char_is_space(*p->at))
			return fail(p, HTTP1_ERR_FOLDED);
		if (count == cap)
			return fail(p, HTTP1_ERR_FIELDS_MANY);
		f = &out->fields[count];
		if (!field_parse(p, f))
			return false;
		if (f->id <= SPECIAL_LAST && (seen & HTTP_BIT(f->id)) == 0)
			p->first[f->id] = (uint16_t)(count & UINT16_MAX);
		twice |= seen & HTTP_BIT(f->id);
		seen |= HTTP_BIT(f->id);
	}
	out->fields_end = (const char *)p->at;
	if (!line_end_parse(p, HTTP1_ERR_LINE_END))
		return false;
	out->field_count = count;
	out->seen = p->seen = seen;
	p->twice = twice;
	return true;
}

/* ---- what the fields say ---- */

static const struct http_field *special(const struct parser *p, const struct http_head *head, enum http_id id)
{
	return &head->fields[p->first[id]];
}

/* RFC 9112 6.2: digits, and no more than a signed 64-bit number holds. */
static bool length_read(const struct http_field *f, int64_t *out)
{
	int64_t value = 0;

	if (f->value_len == 0)
		return false;
	for (uint32_t i = 0; i < f->value_len; i++) {
		int digit = f->value[i] - '0';

		if (digit < 0 || digit > 9 || value > (INT64_MAX - digit) / 10)
			return false;
		value = value * 10 + digit;
	}
	*out = value;
	return true;
}

/* RFC 9112 6.1.  The one coding that is understood is `chunked`, alone; anything that might be read as it,
 * or as nothing, is malformed rather than unknown. */
static enum http1_error coding_read(const struct http_field *f)
{
	const char *list = f->value, *element;
	size_t len = f->value_len, element_len;
	uint32_t chunked_count = 0, other_count = 0;
	bool is_last = false;

	if (http_text_is_literal(list, len, "chunked"))
		return HTTP1_OK;
	while (http_list_next(&list, &len, &element, &element_len)) {
		is_last = http_text_is_literal(element, element_len, "chunked");
		if (is_last)
			chunked_count++;
		else if (http_char_is_token((uint8_t)element[0]))
			other_count++;
		else
			return HTTP1_ERR_CODING;
	}
	if (other_count == 0 || chunked_count > 1 || (chunked_count == 1 && !is_last))
		return HTTP1_ERR_CODING;
	return HTTP1_ERR_CODING_UNKNOWN;
}

static void connection_read(struct http_head *out, const struct http_field *f, bool *close, bool *keep_alive)
{
	const char *list = f->value, *element;
	size_t len = f->value_len, n;

	if (http_text_is_literal(list, len, "keep-alive")) { /* nearly always */
		*keep_alive = true;
		return;
	}
	while (http_list_next(&list, &len, &element, &n)) {
		if (http_text_is_literal(element, n, "keep-alive"))
			*keep_alive = true;
		else if (http_text_is_literal(element, n, "close"))
			*close = true;
		else if (http_text_is_literal(element, n, "upgrade"))
			out->connection_upgrade = true;
		else if ((HTTP_BIT(http_id_of(element, n)) & HTTP_HOP_BY_HOP_SET) == 0)
			out->connection_names = true; /* not one that stays on this hop anyway */
	}
}

static void persistence_read(const struct parser *p, struct http_head *out)
{
	bool close = false, keep_alive = out->version_minor > 0;

	if ((p->seen & HTTP_BIT(HTTP_CONNECTION)) != 0) {
		const struct http_field *f = special(p, out, HTTP_CONNECTION);

		for (; f != NULL; f = http_head_find(out, HTTP_CONNECTION, f + 1))
			connection_read(out, f, &close, &keep_alive);
	}
	out->keep_alive = keep_alive && !close;
}

static bool framing_read(struct parser *p, struct http_head *out)
{
	bool has_coding = (p->seen & HTTP_BIT(HTTP_TRANSFER_ENCODING)) != 0;

	if ((p->seen & HTTP_BIT(HTTP_CONTENT_LENGTH)) != 0) {
		if ((p->twice & HTTP_BIT(HTTP_CONTENT_LENGTH)) != 0)
			return fail(p, HTTP1_ERR_LENGTH_SEVERAL);
		if (!length_read(special(p, out, HTTP_CONTENT_LENGTH), &out->content_length))
			return fail(p, HTTP1_ERR_LENGTH);
		if (has_coding)
			return fail(p, HTTP1_ERR_LENGTH_AND_CODING);
	}
	if (has_coding) {
		enum http1_error error = coding_read(special(p, out, HTTP_TRANSFER_ENCODING));

		if (out->version_minor == 0 || (p->twice & HTTP_BIT(HTTP_TRANSFER_ENCODING)) != 0)
			return fail(p, HTTP1_ERR_CODING);
		if (error != HTTP1_OK)
			return fail(p, error);
		out->is_chunked = true;
	}
	return true;
}

/* RFC 9110 10.1.1: in HTTP/1.0 it is ignored. */
static void expect_read(struct http_head *out)
{
	const struct http_field *f = http_head_find(out, HTTP_EXPECT, NULL);

	for (; f != NULL && out->version_minor > 0; f = http_head_find(out, HTTP_EXPECT, f + 1)) {
		const char *list = f->value, *element;
		size_t len = f->value_len, element_len;

		while (http_list_next(&list, &len, &element, &element_len)) {
			if (http_text_is_literal(element, element_len, "100-continue"))
				out->expect_continue = true;
			else
				out->expect_unknown = true;
		}
	}
}

/* Everything but Host. */
static bool facts_read(struct parser *p, struct http_head *out)
{
	const uint64_t framing = HTTP_BIT(HTTP_CONTENT_LENGTH) | HTTP_BIT(HTTP_TRANSFER_ENCODING);
	const uint64_t rare = HTTP_BIT(HTTP_UPGRADE) | HTTP_BIT(HTTP_EXPECT) | HTTP_BIT(HTTP_TE);

	out->content_length = -1;
	out->is_chunked = out->has_upgrade = out->connection_upgrade = out->connection_names = false;
	out->upgrade_websocket = out->expect_continue = out->expect_unknown = out->te_trailers = false;
	persistence_read(p, out);
	if ((p->seen & framing) != 0 && !framing_read(p, out))
		return false;
	if ((p->seen & rare) != 0) {
		out->has_upgrade = http_head_has(out, HTTP_UPGRADE);
		out->upgrade_websocket = http_head_list_has(out, HTTP_UPGRADE, "websocket", 9);
		out->te_trailers = http_head_list_has(out, HTTP_TE, "trailers", 8);
		expect_read(out);
	}
	return true;
}

/* ---- request lines ---- */

static bool authority_take(struct parser *p, struct http_head *out, const char *at, size_t len,
			   enum http1_error error)
{
	struct uri_authority authority;

	if (len > HTTP1_HOST_MAX || !uri_authority_parse(at, len, &authority))
		return fail(p, error);
	out->host = at;
	out->host_len = (uint16_t)len;
	out->host_name_len = (uint16_t)authority.host_len;
	out->host_port = authority.port;
	return true;
}

/* "http://host/path?query" (RFC 9112 3.2.2): the authority is the host, whatever Host says. */
static bool target_absolute_read(struct parser *p, struct http_head *out)
{
	const char *target = out->target, *end = target + out->target_len, *host, *at;
	size_t path_len, query_len;

	if (out->target_len > 7 && http_text_is(target, 7, "http://", 7))
		host = target + 7;
	else if (out->target_len > 8 && http_text_is(target, 8, "https://", 8))
		host = target + 8;
	else
		return fail(p, HTTP1_ERR_TARGET);
	for (at = host; at < end && *at != '/' && *at != '?'; at++)
		;
	if (!authority_take(p, out, host, (size_t)(at - host), HTTP1_ERR_TARGET))
		return false;
	out->target_form = HTTP_TARGET_ABSOLUTE;
	uri_split(at, (size_t)(end - at), &out->path, &path_len, &out->query, &query_len);
	out->path_len = (uint32_t)path_len;
	out->query_len = (uint32_t)query_len;
	if (path_len == 0) {
		out->path_len = 1;
		out->path = "/";
		if (out->method_id == HTTP_METHOD_OPTIONS && out->query == NULL)
			out->path = "*"; /* RFC 9112 3.2.4 */
	}
	return true;
}

/* The four forms (RFC 9112 3.2). */
static bool target_read(struct parser *p, struct http_head *out)
{
	size_t path_len, query_len;

	out->query = NULL;
	out->query_len = 0;
	if (out->method_id == HTTP_METHOD_CONNECT) {
		out->target_form = HTTP_TARGET_AUTHORITY;
		out->path = "";
		out->path_len = 0;
		if (!authority_take(p, out, out->target, out->target_len, HTTP1_ERR_TARGET))
			return false;
		return out->host_port != 0 || fail(p, HTTP1_ERR_TARGET);
	}
	if (out->target[0] == '/') {
		out->target_form = HTTP_TARGET_ORIGIN;
		uri_split(out->target, out->target_len, &out->path, &path_len, &out->query, &query_len);
		out->path_len = (uint32_t)path_len;
		out->query_len = (uint32_t)query_len;
		return true;
	}
	if (out->target_len == 1 && out->target[0] == '*' && out->method_id == HTTP_METHOD_OPTIONS) {
		out->target_form = HTTP_TARGET_ASTERISK;
		out->path = out->target;
		out->path_len = 1;
		return true;
	}
	return target_absolute_read(p, out);
}

static bool method_parse(struct parser *p, struct http_head *out)
{
	const uint8_t *method = p->at, *end = p->end, *stop;

	out->method = (const char *)method;
	if (end - method >= 4 && memcmp(method, "GET ", 4) == 0) {
		out->method_len = 3;
		out->method_id = HTTP_METHOD_GET;
		p->at = method + 4;
		return true;
	}
	if (end - method > HTTP1_METHOD_MAX)
		end = method + HTTP1_METHOD_MAX + 1;
	stop = chars_skip(method, end, CHAR_TOKEN);
	if (stop - method > HTTP1_METHOD_MAX)
		return fail(p, HTTP1_ERR_METHOD_LONG);
	if (stop == end)
		return starve(p);
	if (stop == method || *stop != ' ')
		return fail(p, *stop == '\r' || *stop == '\n' ? HTTP1_ERR_REQUEST_LINE : HTTP1_ERR_METHOD);
	out->method_len = (uint8_t)(stop - method);
	out->method_id = (uint8_t)http_method_of(out->method, out->method_len);
	p->at = stop + 1;
	return true;
}

/* "HTTP/1.x" (RFC 9112 2.3); the digits of other versions are read to tell them from what is none. */
static bool version_parse(struct parser *p, struct http_head *out, enum http1_error syntax)
{
	static const char pattern[] = "HTTP/0.0"; /* 0: a digit */
	const uint8_t *at = p->at;

	if (p->end - at >= 8 && memcmp(at, "HTTP/1.1", 8) == 0) {
		out->version_minor = 1;
		p->at = at + 8;
		return true;
	}
	for (unsigned i = 0; i < 8; i++) {
		if (at + i == p->end)
			return starve(p);
		if (pattern[i] == '0' ? !char_is(at[i], CHAR_DIGIT) : at[i] != (uint8_t)pattern[i])
			return fail(p, syntax);
	}
	if (at[5] != '1')
		return fail(p, HTTP1_ERR_VERSION);
	out->version_minor = at[7] != '0';
	p->at = at + 8;
	return true;
}

static bool request_line_parse(struct parser *p, struct http_head *out, uint32_t target_max)
{
	const uint8_t *target, *end = p->end, *stop;

	if (!method_parse(p, out))
		return false;
	target = p->at;
	if (end - target > (ptrdiff_t)target_max)
		end = target + target_max + 1;
	stop = chars_skip_target(target, end, p->floor);
	if (stop - target > (ptrdiff_t)target_max)
		return fail(p, HTTP1_ERR_TARGET_LONG);
	if (stop == end)
		return starve(p);
	if (stop == target || *stop == '\r' || *stop == '\n')
		return fail(p, HTTP1_ERR_REQUEST_LINE);
	if (*stop != ' ')
		return fail(p, HTTP1_ERR_TARGET);
	out->target = (const char *)target;
	out->target_len = (uint32_t)(stop - target);
	p->at = stop + 1;
	if (!version_parse(p, out, HTTP1_ERR_VERSION_SYNTAX) || !line_end_parse(p, HTTP1_ERR_VERSION_SYNTAX))
		return false;
	return target_read(p, out);
}

/* RFC 9112 3.2: one, and a valid one, also where an absolute target overrules it; in HTTP/1.0 it may be
 * missing. */
static bool host_read(struct parser *p, struct http_head *out)
{
	const struct http_field *f;
	struct uri_authority authority;

	if ((p->seen & HTTP_BIT(HTTP_HOST)) == 0)
		return out->version_minor == 0 || fail(p, HTTP1_ERR_HOST_MISSING);
	if ((p->twice & HTTP_BIT(HTTP_HOST)) != 0)
		return fail(p, HTTP1_ERR_HOST_SEVERAL);
	f = special(p, out, HTTP_HOST);
	if (out->host == NULL)
		return authority_take(p, out, f->value, f->value_len, HTTP1_ERR_HOST);
	if (f->value_len > HTTP1_HOST_MAX || !uri_authority_parse(f->value, f->value_len, &authority))
		return fail(p, HTTP1_ERR_HOST);
	return true;
}

/* Some clients send an empty line behind a body (RFC 9112 2.2). */
static bool leading_lines_skip(struct parser *p)
{
	for (unsigned count = 0; p->at < p->end && (*p->at == '\r' || *p->at == '\n'); count++) {
		if (count == HTTP1_LEADING_LINES_MAX)
			return fail(p, HTTP1_ERR_REQUEST_LINE);
		if (!line_end_parse(p, HTTP1_ERR_LINE_END))
			return false;
	}
	return p->at < p->end || starve(p);
}

static bool request_parse(struct parser *p, const struct http1_limits *limits, struct http_head *out)
{
	out->host = out->reason = NULL;
	out->host_len = out->host_name_len = out->host_port = out->status = 0;
	out->reason_len = 0;
	if (!leading_lines_skip(p) || !request_line_parse(p, out, limits->target_bytes))
		return false;
	p->in_first_line = false;
	return fields_parse(p, out, limits->field_count) && facts_read(p, out) && host_read(p, out);
}

/* ---- status lines ---- */

/* RFC 9112 4: the space behind the code is missing where some servers have no reason to give. */
static bool status_line_parse(struct parser *p, struct http_head *out)
{
	const uint8_t *at;
	unsigned status = 0;

	if (!version_parse(p, out, HTTP1_ERR_STATUS_LINE))
		return false;
	at = p->at;
	for (unsigned i = 0; i < 4; i++, at++) {
		if (at == p->end)
			return starve(p);
		if (i == 0 ? *at != ' ' : !char_is(*at, CHAR_DIGIT))
			return fail(p, HTTP1_ERR_STATUS_LINE);
		if (i > 0)
			status = status * 10 + (*at - (unsigned)'0');
	}
	if (status < 100)
		return fail(p, HTTP1_ERR_STATUS_LINE);
	out->status = (uint16_t)status;
	out->reason = "";
	out->reason_len = 0;
	p->at = at;
	if (at < p->end && *at == ' ') {
		p->at = chars_skip_value(at + 1, p->end, p->floor);
		out->reason = (const char *)at + 1;
		out->reason_len = (uint32_t)(p->at - at - 1);
	}
	return line_end_parse(p, HTTP1_ERR_STATUS_LINE);
}

static bool response_parse(struct parser *p, const struct http1_limits *limits, struct http_head *out)
{
	out->method = out->target = out->path = out->query = out->host = NULL;
	out->target_len = out->path_len = out->query_len = 0;
	out->host_len = out->host_name_len = out->host_port = 0;
	out->method_len = out->method_id = 0;
	out->target_form = HTTP_TARGET_NONE;
	if (!status_line_parse(p, out))
		return false;
	p->in_first_line = false;
	return fields_parse(p, out, limits->field_count) && facts_read(p, out);
}

/* ---- heads ---- */

/* The limits that hold: none is 0, and none of the sums below overflows. */
static struct http1_limits limits_of(const struct http1_limits *asked, const struct http_head *head)
{
	struct http1_limits limits = *asked;

	if (limits.head_bytes == 0 || limits.head_bytes > HTTP1_HEAD_MAX)
		limits.head_bytes = HTTP1_HEAD_MAX;
	if (limits.target_bytes == 0 || limits.target_bytes > limits.head_bytes)
		limits.target_bytes = limits.head_bytes;
	if (limits.field_count == 0 || limits.field_count > head->field_cap)
		limits.field_count = head->field_cap;
	if (limits.field_count > UINT16_MAX)
		limits.field_count = UINT16_MAX;
	return limits;
}

static int head_parse(const uint8_t *in, size_t len, const struct http1_limits *limits, bool is_request,
		      struct http_head *out)
{
	struct parser p = { .at = in, .end = in + len, .floor = in, .in_first_line = true };
	bool is_done;

	if (len > limits->head_bytes)
		p.end = in + limits->head_bytes;
	is_done = is_request ? request_parse(&p, limits, out) : response_parse(&p, limits, out);
	if (is_done)
		return (int)(p.at - in);
	if (p.error == HTTP1_OK && len >= limits->head_bytes)
		p.error = is_request && p.in_first_line ? HTTP1_ERR_TARGET_LONG : HTTP1_ERR_HEAD_LONG;
	return -(int)p.error;
}

/* ---- the scan ---- */

/* Looks on through a head that the parser found too short.  True where it is to be asked again. */
static bool scan_advance(struct http1_scan *scan, const uint8_t *in, size_t len,
			 const struct http1_limits *limits, bool is_request)
{
	/* The longest first line that the parser can call unfinished. */
	const size_t first_line_max = 2 * HTTP1_LEADING_LINES_MAX + HTTP1_METHOD_MAX + 1 +
				      (size_t)limits->target_bytes + sizeof " HTTP/1.1\r";
	bool was_short = scan->scanned < first_line_max;

	if (len >= limits->head_bytes)
		return true;
	for (;;) {
		const uint8_t *at = chars_skip_value(in + scan->scanned, in + len, in);

		scan->scanned = (uint32_t)(at - in);
		if (at == in + len)
			break;
		if (*at != '\r')
			return true;
		if (at + 1 == in + len)
			break; /* at this CR again */
		if (at[1] != '\n')
			return true;
		scan->scanned += 2;
		if (at == in || at[-1] == '\n') { /* an empty line */
			if (scan->line_count > 0 || !is_request ||
			    scan->scanned > 2 * HTTP1_LEADING_LINES_MAX)
				return true;
			continue;
		}
		scan->line_count++;
		if (scan->line_count == 1 || scan->line_count > limits->field_count + 1)
			return true;
	}
	return is_request && scan->line_count == 0 && was_short && len >= first_line_max;
}

static int head_advance(const uint8_t *in, size_t len, const struct http1_limits *asked,
			struct http1_scan *scan, bool is_request, struct http_head *out)
{
	struct http1_limits limits = limits_of(asked, out);
	int result = 0;

	if (scan == NULL || (scan->scanned == 0 && scan->line_count == 0)) {
		result = head_parse(in, len, &limits, is_request, out);
		if (result != 0 || scan == NULL)
			return result;
	}
	/* Twice at most: at the end of the first line, and where the head ends or fails. */
	for (int i = 0; i < 2 && result == 0 && scan_advance(scan, in, len, &limits, is_request); i++)
		result = head_parse(in, len, &limits, is_request, out);
	return result;
}

int http1_parse_request(const uint8_t *in, size_t len, const struct http1_limits *limits,
			struct http1_scan *scan, struct http_head *out)
{
	return head_advance(in, len, limits, scan, true, out);
}

int http1_parse_response(const uint8_t *in, size_t len, const struct http1_limits *limits,
			 struct http1_scan *scan, struct http_head *out)
{
	return head_advance(in, len, limits, scan, false, out);
}

int http1_parse_field(const uint8_t *in, size_t len, struct http_field *out)
{
	struct parser p = { .at = in, .end = in + len, .floor = in };

	if (len > 0 && char_is_space(*in))
		return -HTTP1_ERR_FOLDED;
	return field_parse(&p, out) ? (int)(p.at - in) : -(int)p.error;
}

/* ---- what follows the head ---- */

static enum http1_body_kind body_of(const struct http_head *head, enum http1_body_kind otherwise,
				    uint64_t *length)
{
	if (head->is_chunked)
		return HTTP1_BODY_CHUNKED;
	if (head->content_length < 0)
		return otherwise;
	*length = (uint64_t)head->content_length;
	return *length > 0 ? HTTP1_BODY_LENGTH : HTTP1_BODY_NONE;
}

enum http1_body_kind http1_request_body(const struct http_head *request, uint64_t *length)
{
	*length = 0;
	return body_of(request, HTTP1_BODY_NONE, length);
}

enum http1_body_kind http1_response_body(const struct http_head *response, enum http_method method,
					 uint64_t *length)
{
	unsigned status = response->status;

	*length = 0;
	if (method == HTTP_METHOD_HEAD || status < 200 || status == 204 || status == 304)
		return HTTP1_BODY_NONE;
	if (method == HTTP_METHOD_CONNECT && status < 300)
		return HTTP1_BODY_NONE;
	return body_of(response, HTTP1_BODY_UNTIL_CLOSE, length);
}
