#include "proxy/template.h"

#include "guard/jwt.h"

#define CLAIM_TEXT_MAX 1024

/* Hosts and targets are checked when they are parsed; what is looked at here are the parts that a longer
 * life of the code might fill from elsewhere. */
static void said_print(struct str *out, const char *text, size_t len)
{
	if (text != NULL && http_text_is_field_value(text, len))
		str_bytes(out, text, len);
}

static void print_literal(struct str *out, const struct template_part *p, const struct request *r)
{
	(void)r;
	str_bytes(out, p->text, p->text_len);
}

static void print_remote_addr(struct str *out, const struct template_part *p, const struct request *r)
{
	(void)p;
	str_bytes(out, r->client, r->client_len);
}

static void print_host(struct str *out, const struct template_part *p, const struct request *r)
{
	(void)p;
	said_print(out, r->head->host, r->head->host_len);
}

static void print_request_id(struct str *out, const struct template_part *p, const struct request *r)
{
	(void)p;
	str_bytes(out, r->id, REQUEST_ID_LEN);
}

static void print_trace_id(struct str *out, const struct template_part *p, const struct request *r)
{
	(void)p;
	str_cstr(out, r->trace.id);
}

/* Without scheme and authority, and not normalised: a redirect must lead to what was asked for. */
static void print_request_uri(struct str *out, const struct template_part *p, const struct request *r)
{
	(void)p;
	said_print(out, r->head->path, r->head->path_len);
	if (r->head->query == NULL)
		return;
	str_char(out, '?');
	said_print(out, r->head->query, r->head->query_len);
}

static void print_scheme(struct str *out, const struct template_part *p, const struct request *r)
{
	(void)p;
	str_cstr(out, request_scheme(r));
}

/* Of the token that admitted the request; nothing where there is none, or no such claim. */
static void print_claim(struct str *out, const struct template_part *p, const struct request *r)
{
	char text[CLAIM_TEXT_MAX];
	long len = r->token != NULL ? jwt_claim(r->token, p->text, text, sizeof(text)) : -1;

	if (len > 0)
		said_print(out, text, (size_t)len);
}

static void (*const printers[])(struct str *, const struct template_part *, const struct request *) = {
	[VARIABLE_LITERAL] = print_literal,
	[VARIABLE_REMOTE_ADDR] = print_remote_addr,
	[VARIABLE_HOST] = print_host,
	[VARIABLE_REQUEST_ID] = print_request_id,
	[VARIABLE_TRACE_ID] = print_trace_id,
	[VARIABLE_REQUEST_URI] = print_request_uri,
	[VARIABLE_SCHEME] = print_scheme,
	[VARIABLE_CLAIM] = print_claim,
};

void template_print(struct str *out, const struct template *t, const struct request *r)
{
	for (size_t i = 0; i < t->parts_count; i++)
		printers[t->parts[i].variable](out, &t->parts[i], r);
}
