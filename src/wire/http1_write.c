#include "wire/http1_write.h"

#include "wire/chars.h"

/* ---- status codes ---- */

static const char *const reasons[600] = {
	[100] = "Continue",
	[101] = "Switching Protocols",
	[102] = "Processing",
	[103] = "Early Hints",
	[200] = "OK",
	[201] = "Created",
	[202] = "Accepted",
	[203] = "Non-Authoritative Information",
	[204] = "No Content",
	[205] = "Reset Content",
	[206] = "Partial Content",
	[207] = "Multi-Status",
	[208] = "Already Reported",
	[226] = "IM Used",
	[300] = "Multiple Choices",
	[301] = "Moved Permanently",
	[302] = "Found",
	[303] = "See Other",
	[304] = "Not Modified",
	[305] = "Use Proxy",
	[307] = "Temporary Redirect",
	[308] = "Permanent Redirect",
	[400] = "Bad Request",
	[401] = "Unauthorized",
	[402] = "Payment Required",
	[403] = "Forbidden",
	[404] = "Not Found",
	[405] = "Method Not Allowed",
	[406] = "Not Acceptable",
	[407] = "Proxy Authentication Required",
	[408] = "Request Timeout",
	[409] = "Conflict",
	[410] = "Gone",
	[411] = "Length Required",
	[412] = "Precondition Failed",
	[413] = "Content Too Large",
	[414] = "URI Too Long",
	[415] = "Unsupported Media Type",
	[416] = "Range Not Satisfiable",
	[417] = "Expectation Failed",
	[421] = "Misdirected Request",
	[422] = "Unprocessable Content",
	[423] = "Locked",
	[424] = "Failed Dependency",
	[425] = "Too Early",
	[426] = "Upgrade Required",
	[428] = "Precondition Required",
	[429] = "Too Many Requests",
	[431] = "Request Header Fields Too Large",
	[451] = "Unavailable For Legal Reasons",
	[500] = "Internal Server Error",
	[501] = "Not Implemented",
	[502] = "Bad Gateway",
	[503] = "Service Unavailable",
	[504] = "Gateway Timeout",
	[505] = "HTTP Version Not Supported",
	[506] = "Variant Also Negotiates",
	[507] = "Insufficient Storage",
	[508] = "Loop Detected",
	[510] = "Not Extended",
	[511] = "Network Authentication Required",
};

const char *http_reason_phrase(int status)
{
	if (status < 100 || status >= 600 || reasons[status] == NULL)
		return "";
	return reasons[status];
}

/* ---- pieces ---- */

/* Where text goes; `at` is NULL once something did not fit, and all that follows is left out. */
struct writer {
	uint8_t *at;
	uint8_t *start;
	const uint8_t *end;
};

static struct writer writer_on(uint8_t *out, size_t cap)
{
	return (struct writer){ out, out, out + cap };
}

static long writer_len(const struct writer *w)
{
	return w->at != NULL ? w->at - w->start : -1;
}

static void put(struct writer *w, const char *text, size_t len)
{
	if (w->at == NULL)
		return;
	if ((size_t)(w->end - w->at) < len) {
		w->at = NULL;
		return;
	}
	if (len > 0)
		memcpy(w->at, text, len);
	w->at += len;
}

#define PUT(w, literal) put((w), "" literal, sizeof(literal) - 1)

static void put_decimal(struct writer *w, uint64_t value)
{
	char digits[20];
	size_t n = sizeof digits;

	do {
		digits[--n] = (char)('0' + value % 10);
		value /= 10;
	} while (value > 0);
	put(w, digits + n, sizeof digits - n);
}

/* `count` digits with zeros in front. */
static void put_padded(struct writer *w, unsigned value, unsigned count)
{
	char digits[8];

	for (unsigned i = count; i-- > 0; value /= 10)
		digits[i] = (char)('0' + value % 10);
	put(w, digits, count);
}

static bool is_target_text(const char *text, size_t len)
{
	const uint8_t *at = (const uint8_t *)text;

	return len == 0 || chars_skip_target(at, at + len, at) == at + len;
}

/* ---- lines ---- */

long http1_write_request_line(uint8_t *out, size_t cap, const char *method, size_t method_len,
			      const char *path, size_t path_len, const char *query, size_t query_len)
{
	struct writer w = writer_on(out, cap);

	if (!http_text_is_token(method, method_len) || path_len == 0 || !is_target_text(path, path_len) ||
	    (query != NULL && !is_target_text(query, query_len)))
		return -1;
	put(&w, method, method_len);
	PUT(&w, " ");
	put(&w, path, path_len);
	if (query != NULL) {
		PUT(&w, "?");
		put(&w, query, query_len);
	}
	PUT(&w, " HTTP/1.1\r\n");
	return writer_len(&w);
}

long http1_write_status_line(uint8_t *out, size_t cap, int status, const char *reason, size_t reason_len)
{
	struct writer w = writer_on(out, cap);

	if (status < 100 || status > 999)
		return -1;
	if (reason == NULL) {
		reason = http_reason_phrase(status);
		reason_len = strlen(reason);
	} else if (!http_text_is_field_value(reason, reason_len)) {
		return -1;
	}
	PUT(&w, "HTTP/1.1 ");
	put_padded(&w, (unsigned)status, 3);
	PUT(&w, " ");
	put(&w, reason, reason_len);
	PUT(&w, "\r\n");
	return writer_len(&w);
}

long http1_write_field(uint8_t *out, size_t cap, const char *name, size_t name_len, const char *value,
		       size_t value_len)
{
	struct writer w = writer_on(out, cap);

	if (!http_text_is_token(name, name_len) || !http_text_is_field_value(value, value_len))
		return -1;
	put(&w, name, name_len);
	PUT(&w, ": ");
	put(&w, value, value_len);
	PUT(&w, "\r\n");
	return writer_len(&w);
}

long http1_write_field_number(uint8_t *out, size_t cap, const char *name, size_t name_len, uint64_t value)
{
	struct writer w = writer_on(out, cap);

	if (!http_text_is_token(name, name_len))
		return -1;
	put(&w, name, name_len);
	PUT(&w, ": ");
	put_decimal(&w, value);
	PUT(&w, "\r\n");
	return writer_len(&w);
}

/* ---- dates ---- */

/* Days since 1970 to year, month 1..12, day: by years that begin in March, so that the leap day comes
 * last, in eras of 400 years, which all have the same number of days. */
static void date_of_days(int64_t days, unsigned *year, unsigned *month, unsigned *day)
{
	uint64_t since = (uint64_t)(days + 719468), era = since / 146097; /* since 0000-03-01 */
	unsigned in_era = (unsigned)(since % 146097);
	unsigned y = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
	unsigned in_year = in_era - (365 * y + y / 4 - y / 100);
	unsigned m = (5 * in_year + 2) / 153; /* 0: March */

	*day = in_year - (153 * m + 2) / 5 + 1;
	*month = m < 10 ? m + 3 : m - 9;
	*year = (unsigned)(era * 400) + y + (*month <= 2);
}

long http1_write_date(uint8_t *out, size_t cap, int64_t unix_s)
{
	static const char weekdays[] = "ThuFriSatSunMonTueWed",
			  months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	const int64_t first = INT64_C(-62135596800), last = INT64_C(253402300799); /* years 1 and 9999 */
	struct writer w = writer_on(out, cap);
	unsigned year, month, day, second;
	int64_t days;

	if (unix_s < first || unix_s > last)
		return -1;
	days = unix_s / 86400 - (unix_s % 86400 < 0);
	second = (unsigned)(unix_s - days * 86400);
	date_of_days(days, &year, &month, &day);
	put(&w, weekdays + 3 * ((days % 7 + 7) % 7), 3);
	PUT(&w, ", ");
	put_padded(&w, day, 2);
	PUT(&w, " ");
	put(&w, months + 3 * (month - 1), 3);
	PUT(&w, " ");
	put_padded(&w, year, 4);
	PUT(&w, " ");
	put_padded(&w, second / 3600, 2);
	PUT(&w, ":");
	put_padded(&w, second / 60 % 60, 2);
	PUT(&w, ":");
	put_padded(&w, second % 60, 2);
	PUT(&w, " GMT");
	return writer_len(&w);
}

long http1_write_date_field(uint8_t *out, size_t cap, int64_t unix_s)
{
	char date[HTTP1_DATE_LEN];

	if (http1_write_date((uint8_t *)date, sizeof date, unix_s) < 0)
		return -1;
	return http1_write_field(out, cap, "date", 4, date, sizeof date);
}

/* ---- fields of a parsed head ---- */

long http1_write_forwarded_fields(uint8_t *out, size_t cap, const struct http_head *head, uint64_t leave_out)
{
	struct writer w = writer_on(out, cap);
	const char *run = NULL;

	leave_out |= HTTP_HOP_BY_HOP_SET;
	if ((head->seen & leave_out) == 0 && !head->connection_names) {
		if (head->field_count > 0)
			put(&w, head->fields[0].name, (size_t)(head->fields_end - head->fields[0].name));
		return writer_len(&w);
	}
	for (uint32_t i = 0; i < head->field_count; i++) {
		const struct http_field *f = &head->fields[i];
		bool is_left_out = (HTTP_BIT(f->id) & leave_out) != 0 ||
				   (head->connection_names && http_field_is_hop_by_hop(head, f));

		if (run == NULL && !is_left_out)
			run = f->name;
		if (run != NULL && is_left_out) {
			put(&w, run, (size_t)(f->name - run));
			run = NULL;
		}
	}
	if (run != NULL)
		put(&w, run, (size_t)(head->fields_end - run));
	return writer_len(&w);
}

long http1_write_head_end(uint8_t *out, size_t cap)
{
	struct writer w = writer_on(out, cap);

	PUT(&w, "\r\n");
	return writer_len(&w);
}

/* ---- chunks ---- */

long http1_write_chunk_line(uint8_t *out, size_t cap, uint64_t size)
{
	static const char hex[] = "0123456789abcdef";
	struct writer w = writer_on(out, cap);
	char digits[16];
	size_t n = sizeof digits;

	if (size == 0 || size > INT64_MAX)
		return -1;
	for (; size > 0; size >>= 4)
		digits[--n] = hex[size & 15];
	put(&w, digits + n, sizeof digits - n);
	PUT(&w, "\r\n");
	return writer_len(&w);
}

long http1_write_last_chunk(uint8_t *out, size_t cap, const struct http_field *trailers, size_t trailer_count)
{
	struct writer w = writer_on(out, cap);

	PUT(&w, "0\r\n");
	for (size_t i = 0; i < trailer_count && w.at != NULL; i++) {
		const struct http_field *f = &trailers[i];
		long len = http1_write_field(w.at, (size_t)(w.end - w.at), f->name, f->name_len, f->value,
					     f->value_len);

		if (len < 0)
			return -1;
		w.at += len;
	}
	PUT(&w, "\r\n");
	return writer_len(&w);
}
