#include "cluster/probe.h"

#include "wire/http1_write.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct probe_type probe_tcp = { .waits_for = "a connection" };

static const struct probe_type *const types[] = {
	[HEALTH_TCP] = &probe_tcp,
	[HEALTH_HTTP] = &probe_http,
	[HEALTH_WEBSOCKET] = &probe_websocket,
};

bool probe_init(struct probe *p, const struct health_config *config, const char *host)
{
	const struct probe_type *type = types[config->type];

	p->config = config;
	p->type = config->type;
	p->out_len = p->out_sent = p->in_len = p->body_at = p->body_len = p->request_len = 0;
	p->why[0] = '\0';
	p->scan = (struct http1_scan){ 0, 0 };
	memset(&p->body, 0, sizeof(p->body));
	p->head_seen = p->is_open = false;
	p->skip = 0;
	return type->init == NULL || type->init(p, config->host != NULL ? config->host : host);
}

void probe_done(struct probe *p)
{
	http1_body_done(&p->body);
}

enum probe_verdict probe_say(struct probe *p, enum probe_verdict verdict, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(p->why, sizeof(p->why), format, args);
	va_end(args);
	return verdict;
}

enum probe_verdict probe_open(struct probe *p)
{
	if (types[p->type]->feed != NULL)
		return PROBE_MORE;
	return probe_say(p, PROBE_GOOD, "it accepts connections");
}

enum probe_verdict probe_feed(struct probe *p, const uint8_t *in, size_t len)
{
	return types[p->type]->feed == NULL ? PROBE_MORE : types[p->type]->feed(p, in, len);
}

enum probe_verdict probe_eof(struct probe *p)
{
	if (types[p->type]->eof != NULL)
		return types[p->type]->eof(p);
	return probe_say(p, PROBE_BAD, "it closed the connection, where %s was awaited", types[p->type]->waits_for);
}

const char *probe_waits_for(const struct probe *p)
{
	return types[p->type]->waits_for;
}

static bool put_field(struct probe *p, const char *name, const char *value)
{
	long n = http1_write_field(p->out + p->out_len, sizeof(p->out) - p->out_len, name, strlen(name), value,
				   strlen(value));

	if (n < 0)
		return false;
	p->out_len += (uint32_t)n;
	return true;
}

long probe_head_begin(struct probe *p, const char *method, const char *host)
{
	const char *path = p->config->path;
	long n = http1_write_request_line(p->out, sizeof(p->out), method, strlen(method), path, strlen(path), NULL, 0);

	if (n < 0)
		return -1;
	p->out_len = (uint32_t)n;
	if (!put_field(p, "host", host) || !put_field(p, "user-agent", "holdfast-health"))
		return -1;
	for (size_t i = 0; i < p->config->headers_count; i++)
		if (!put_field(p, p->config->headers[i].name, p->config->headers[i].value))
			return -1;
	return (long)p->out_len;
}

bool probe_keep(struct probe *p, const uint8_t *in, size_t len, size_t *taken)
{
	size_t room = sizeof(p->in) - p->in_len;

	*taken = len < room ? len : room;
	memcpy(p->in + p->in_len, in, *taken);
	p->in_len += (uint32_t)*taken;
	return *taken == len;
}

void probe_drop(struct probe *p, size_t len)
{
	memmove(p->in, p->in + len, p->in_len - len);
	p->in_len -= (uint32_t)len;
}

int probe_head_read(struct probe *p, struct http_head *head, struct http_field *fields, uint32_t fields_cap)
{
	static const struct http1_limits limits = { .head_bytes = PROBE_KEPT_MAX };
	int got;

	for (;;) {
		http_head_init(head, fields, fields_cap);
		got = http1_parse_response(p->in, p->in_len, &limits, &p->scan, head);
		if (got == 0)
			return 0;
		p->scan = (struct http1_scan){ 0, 0 };
		if (got < 0) {
			probe_say(p, PROBE_BAD, "its response is malformed");
			return -1;
		}
		if (head->status >= 200 || head->status == 101)
			return got;
		probe_drop(p, (size_t)got);
	}
}
