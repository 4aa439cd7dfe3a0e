#include "proxy/error_page.h"

#include "base/str.h"
#include "wire/http1_write.h"

#include <assert.h>

/* ---- Accept (RFC 9110 12.5.1) ---- */

/* How much a list wants a kind of page; the range that fits best decides, whatever its place. */
struct wish {
	int q;	  /* thousandths; 0: not wanted */
	int fits; /* 0: no range named it, 1: by * / *, 2: by its type, 3: by itself */
};

struct wishes {
	struct wish html, json;
};

/* "1", "0.5", "0.125" in thousandths, or -1. */
static int q_parse(const char *text, size_t len)
{
	int value, scale = 100;

	if (len == 0 || len > 5 || (text[0] != '0' && text[0] != '1') || (len > 1 && text[1] != '.'))
		return -1;
	value = (text[0] - '0') * 1000;
	for (size_t i = 2; i < len; i++, scale /= 10) {
		if (text[i] < '0' || text[i] > '9')
			return -1;
		value += (text[i] - '0') * scale;
	}
	return value <= 1000 ? value : -1;
}

static void trim(const char **text, size_t *len)
{
	while (*len > 0 && (**text == ' ' || **text == '\t')) {
		++*text;
		--*len;
	}
	while (*len > 0 && ((*text)[*len - 1] == ' ' || (*text)[*len - 1] == '\t'))
		--*len;
}

/* Cuts the range off its parameters; gives its q, 1000 where none is said, -1 where it is broken. */
static int range_read(const char *element, size_t *len)
{
	const char *end = element + *len, *at = memchr(element, ';', *len);
	int q = 1000;

	if (at != NULL)
		*len = (size_t)(at - element);
	trim(&element, len); /* moves nothing: an element begins with what is no space */
	while (at != NULL) {
		const char *start = at + 1;
		size_t n;

		at = memchr(start, ';', (size_t)(end - start));
		n = (size_t)((at != NULL ? at : end) - start);
		trim(&start, &n);
		if (n >= 2 && (start[0] | 0x20) == 'q' && start[1] == '=')
			q = q_parse(start + 2, n - 2);
	}
	return q;
}

static void wish_note(struct wish *w, int fits, int q)
{
	if (fits > w->fits || (fits == w->fits && q > w->q))
		*w = (struct wish){ q, fits };
}

static void wishes_read(struct wishes *w, const char *accept, size_t len)
{
	static const struct {
		const char *range;
		int html, json; /* how well it fits */
	} ranges[] = {
		{ "text/html", 3, 0 }, { "application/json", 0, 3 }, { "application/problem+json", 0, 3 },
		{ "text/*", 2, 0 },    { "application/*", 0, 2 },    { "*/*", 1, 1 },
	};
	const char *element;
	size_t n;

	while (http_list_next(&accept, &len, &element, &n)) {
		int q = range_read(element, &n);

		for (size_t i = 0; q >= 0 && i < sizeof(ranges) / sizeof(ranges[0]); i++) {
			if (!http_text_is(element, n, ranges[i].range, strlen(ranges[i].range)))
				continue;
			if (ranges[i].html > 0)
				wish_note(&w->html, ranges[i].html, q);
			if (ranges[i].json > 0)
				wish_note(&w->json, ranges[i].json, q);
		}
	}
}

/* Where both are wanted as much, the one that was named. */
static bool wishes_prefer_json(const struct wishes *w)
{
	if (w->json.q != w->html.q)
		return w->json.q > w->html.q;
	return w->json.q > 0 && w->json.fits > w->html.fits;
}

bool accept_prefers_json(const char *accept, size_t len)
{
	struct wishes w = { 0 };

	wishes_read(&w, accept, len);
	return wishes_prefer_json(&w);
}

static bool head_prefers_json(const struct http_head *head)
{
	const struct http_field *f = head != NULL ? http_head_find(head, HTTP_ACCEPT, NULL) : NULL;
	struct wishes w = { 0 };

	for (; f != NULL; f = http_head_find(head, HTTP_ACCEPT, f + 1))
		wishes_read(&w, f->value, f->value_len);
	return wishes_prefer_json(&w);
}

/* ---- pages ---- */

/* All text comes from our own tables, and holds nothing that HTML or JSON would want escaped. */
static void detail_print(struct str *s, const struct reason_row *row)
{
	str_cstr(s, row->text);
	if (row->key == NULL)
		return;
	str_cstr(s, " (");
	str_cstr(s, row->key);
	str_char(s, ')');
}

static void json_print(struct str *s, unsigned status, const char *phrase, const struct reason_row *row)
{
	str_cstr(s, "{\"status\":");
	str_dec(s, status);
	str_cstr(s, ",\"error\":\"");
	str_cstr(s, phrase);
	str_cstr(s, "\",\"reason\":\"");
	str_cstr(s, row->word);
	str_cstr(s, "\",\"detail\":\"");
	detail_print(s, row);
	str_cstr(s, "\"}\n");
}

static void title_print(struct str *s, unsigned status, const char *phrase)
{
	str_dec(s, status);
	str_char(s, ' ');
	str_cstr(s, phrase);
}

static void html_print(struct str *s, unsigned status, const char *phrase, const struct reason_row *row)
{
	str_cstr(s, "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>");
	title_print(s, status, phrase);
	str_cstr(s, "</title></head>\n<body><h1>");
	title_print(s, status, phrase);
	str_cstr(s, "</h1><p>");
	detail_print(s, row);
	str_cstr(s, "</p></body>\n</html>\n");
}

void error_page_make(struct error_page *out, enum reason why, uint16_t status, const struct http_head *head)
{
	const struct reason_row *row = reason_of(why);
	const char *phrase;
	struct str s;

	if (status == 0)
		status = row->status != 0 ? row->status : 500;
	phrase = http_reason_phrase(status);
	if (*phrase == '\0')
		phrase = status < 500 ? "Refused" : "Error";
	out->status = status;
	str_init(&s, out->body, sizeof(out->body));
	if (head_prefers_json(head)) {
		out->type = "application/json";
		json_print(&s, status, phrase, row);
	} else {
		out->type = "text/html; charset=utf-8";
		html_print(&s, status, phrase, row);
	}
	assert(!s.is_cut); /* the tables' texts are short */
	out->len = s.len;
}
