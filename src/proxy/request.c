#include "proxy/request.h"

#include "base/random.h"
#include "base/str.h"
#include "wire/uri.h"

#include <arpa/inet.h>
#include <string.h>

/* ---- addresses ---- */

/* The text that comes into logs and fields.  IPv4 is nearly every one, and the C library prints it by
 * printf. */
static size_t host_print(const struct addr *a, char out[ADDR_TEXT_MAX])
{
	uint32_t ip;
	struct str s;

	if (a->len == 0 || a->sa.sa_family != AF_INET)
		return addr_print_host(a, out);
	ip = ntohl(a->in.sin_addr.s_addr);
	str_init(&s, out, ADDR_TEXT_MAX);
	for (unsigned shift = 24;; shift -= 8) {
		str_dec(&s, ip >> shift & 255);
		if (shift == 0)
			break;
		str_char(&s, '.');
	}
	str_text(&s);
	return s.len;
}

static bool peer_is_trusted(const struct request *r)
{
	const struct config *c = r->config;

	if (c->trusted_proxies_count == 0 || r->peer->len == 0)
		return false;
	return r->peer->sa.sa_family == AF_UNIX ||
	       cidr_list_contains(c->trusted_proxies, c->trusted_proxies_count, r->peer);
}

static bool is_address_char(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') || c == '.' ||
	       c == ':' || c == '[' || c == ']';
}

/* One element of X-Forwarded-For: an address, some with a port: 10.0.0.1, 10.0.0.1:80, ::1, [::1],
 * [::1]:80. */
static bool element_parse(const char *text, size_t len, struct addr *out)
{
	char copy[64];
	size_t colons = 0;
	struct str s;

	if (len == 0 || len > 54)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (!is_address_char(text[i]))
			return false; /* a zone or a name would cost a look-up */
		colons += text[i] == ':';
	}
	str_init(&s, copy, sizeof(copy));
	if (text[0] != '[' && colons > 1) {
		str_char(&s, '[');
		str_bytes(&s, text, len);
		str_cstr(&s, "]:0");
	} else {
		str_bytes(&s, text, len);
		if (text[0] == '[' ? text[len - 1] == ']' : colons == 0)
			str_cstr(&s, ":0");
	}
	if (addr_parse(out, str_text(&s)) != 0)
		return false;
	addr_unmap(out);
	return true;
}

/* The last element of the list, which is cut off it; elements hold no quotes here.  False: none is left. */
static bool list_take_last(const char *list, size_t *len, const char **element, size_t *element_len)
{
	size_t end = *len, start;

	while (end > 0 && (list[end - 1] == ' ' || list[end - 1] == '\t' || list[end - 1] == ','))
		end--;
	start = end;
	while (start > 0 && list[start - 1] != ',')
		start--;
	*len = start;
	while (start < end && (list[start] == ' ' || list[start] == '\t'))
		start++;
	*element = list + start;
	*element_len = end - start;
	return end > start;
}

/* Walks X-Forwarded-For from the right: each address was said by the one behind it, so the first that is
 * not trusted is the client; so is the last good one before what is no address. */
static void client_walk(const struct request *r, struct addr *client)
{
	const struct http_head *head = r->head;
	const struct config *c = r->config;

	for (uint32_t i = head->field_count; i-- > 0;) {
		const struct http_field *f = &head->fields[i];
		size_t len = f->value_len, element_len;
		const char *element;

		if (f->id != HTTP_X_FORWARDED_FOR)
			continue;
		while (list_take_last(f->value, &len, &element, &element_len)) {
			struct addr a;

			if (!element_parse(element, element_len, &a))
				return;
			*client = a;
			if (!cidr_list_contains(c->trusted_proxies, c->trusted_proxies_count, &a))
				return;
		}
	}
}

static void client_find(struct request *r)
{
	r->client_addr = *r->peer;
	r->is_forwarded = r->is_trusted && http_head_has(r->head, HTTP_X_FORWARDED_FOR);
	if (r->is_forwarded)
		client_walk(r, &r->client_addr);
	r->client_len = host_print(&r->client_addr, r->client);
}

/* ---- host and path ---- */

struct scratch {
	char *at;
	size_t left;
};

static bool is_upper(char c)
{
	return c >= 'A' && c <= 'Z';
}

static enum reason host_prepare(struct request *r, struct scratch *s)
{
	const char *host = r->head->host;
	size_t len = r->head->host_name_len, i = 0;

	r->host = "";
	r->host_len = 0;
	if (host == NULL)
		return REASON_NONE;
	if (len > 1 && host[len - 1] == '.')
		len--;
	while (i < len && !is_upper(host[i]))
		i++;
	if (i < len) {
		if (len > s->left)
			return REASON_BAD_REQUEST;
		for (i = 0; i < len; i++)
			s->at[i] = is_upper(host[i]) ? (char)(host[i] | 0x20) : host[i];
		host = s->at;
		s->at += len;
		s->left -= len;
	}
	r->host = host;
	r->host_len = len;
	return REASON_NONE;
}

/* Nothing in it that normalising would change or refuse: as nearly all are. */
static bool path_is_normal(const char *path, size_t len)
{
	return path[0] == '/' && memchr(path, '%', len) == NULL && memchr(path, '\\', len) == NULL &&
	       memmem(path, len, "/.", 2) == NULL;
}

static enum reason path_prepare(struct request *r, struct scratch *s)
{
	const struct http_head *head = r->head;
	long len;

	r->path = head->path;
	r->path_len = head->path_len;
	if (head->target_form == HTTP_TARGET_AUTHORITY || (head->path_len == 1 && head->path[0] == '*'))
		return REASON_NONE;
	if (head->path_len > 0 && path_is_normal(head->path, head->path_len))
		return REASON_NONE;
	len = uri_path_normalise(head->path, head->path_len, s->at, s->left);
	r->path = len < 0 ? "" : s->at;
	r->path_len = len < 0 ? 0 : (size_t)len;
	return len < 0 ? REASON_BAD_REQUEST : REASON_NONE;
}

/* ---- the whole ---- */

static void id_make(struct request *r)
{
	uint8_t bytes[REQUEST_ID_LEN / 2];
	struct str s;

	random_bytes(bytes, sizeof(bytes));
	str_init(&s, r->id, sizeof(r->id));
	str_hex_bytes(&s, bytes, sizeof(bytes));
	str_text(&s);
}

/* Two of them, or one that cannot be read, are none (Trace Context 3.2.1, 4.3): then a trace may begin here.  Its number is
 * the request's, so that who has the one has the other. */
static void trace_find(struct request *r)
{
	const struct http_field *f = http_head_find(r->head, HTTP_TRACEPARENT, NULL);
	uint8_t draw[4];

	r->trace.id[0] = '\0';
	r->is_trace_begun = false;
	if (f != NULL && http_head_find(r->head, HTTP_TRACEPARENT, f + 1) == NULL &&
	    trace_context_parse(f->value, f->value_len, &r->trace))
		return;
	if (r->config->tracing.traceparent != TRACEPARENT_MAKE)
		return;
	random_bytes(draw, sizeof(draw));
	memcpy(r->trace.id, r->id, TRACE_ID_LEN + 1);
	memcpy(r->trace.parent, r->id, TRACE_PARENT_LEN);
	r->trace.parent[TRACE_PARENT_LEN] = '\0';
	r->trace.is_sampled = (double)(draw[0] | (unsigned)draw[1] << 8) * 100 / 65536 < r->config->tracing.sample_percent;
	r->is_trace_begun = true;
}

enum reason request_prepare(struct request *r, char *scratch, size_t cap)
{
	struct scratch s = { scratch, cap };
	enum reason host, path;

	r->is_trusted = peer_is_trusted(r);
	client_find(r);
	id_make(r);
	trace_find(r);
	host = host_prepare(r, &s);
	path = path_prepare(r, &s);
	return host != REASON_NONE ? host : path;
}

const char *request_scheme(const struct request *r)
{
	const struct http_field *f =
		r->is_trusted ? http_head_find(r->head, HTTP_X_FORWARDED_PROTO, NULL) : NULL;

	if (f != NULL && http_text_is_literal(f->value, f->value_len, "https"))
		return "https";
	if (f != NULL && http_text_is_literal(f->value, f->value_len, "http"))
		return "http";
	return r->is_tls ? "https" : "http";
}
