#include "proxy/access_log.h"

#include "base/log.h"
#include "base/random.h"
#include "proxy/access_format.h"

#include <stdlib.h>

static const struct access_format *const formats[] = {
	[ACCESS_LOG_JSON] = &access_json,
	[ACCESS_LOG_COMBINED] = &access_combined,
};

const char *const access_sides[] = {
	[CLOSED_BY_NONE] = "",
	[CLOSED_BY_CLIENT] = "client",
	[CLOSED_BY_BACKEND] = "backend",
	[CLOSED_BY_PROXY] = "proxy",
};

static bool is_sampled(const struct access_log_config *c)
{
	const double whole = 18446744073709551616.0; /* 2^64 */

	return c->sample_percent >= 100 || (double)random_fast() / whole * 100 < c->sample_percent;
}

/* Renders on the stack, and keeps a block of the size that came out. */
static struct access_entry *entry_new(const struct access_log_config *c, struct access_start *a)
{
	const struct access_format *format = formats[c->format];
	uint32_t ends[ACCESS_PARTS_MAX] = { 0 };
	char text[ACCESS_ENTRY_MAX];
	struct access_entry *e;
	struct str s;

	str_init(&s, text, sizeof(text));
	format->start(&s, a, ends);
	if (s.is_cut)
		return NULL; /* a half of a line is none; the bounds above are made so that all fits */
	e = malloc(sizeof(*e) + s.len);
	if (e == NULL)
		return NULL;
	e->format = format;
	e->events = (uint8_t)c->events;
	memcpy(e->ends, ends, sizeof(ends));
	memcpy(e->text, text, s.len);
	return e;
}

static bool is_wanted(const struct log_config *log)
{
	return log->access != NULL && is_sampled(log->access);
}

struct access_entry *access_request(const struct log_config *log, const struct request *r,
				    const char *tls_version)
{
	struct access_start a = { .r = r, .listener = r->listener, .tls = tls_version };

	if (!is_wanted(log))
		return NULL;
	a.client = r->client;
	a.client_len = r->client_len;
	return entry_new(log->access, &a);
}

struct access_entry *access_malformed(const struct log_config *log, const struct listener_config *listener,
				      const struct addr *peer, const char *text, size_t len)
{
	char client[ADDR_TEXT_MAX];
	struct access_start a = { .listener = listener, .client = client };

	if (!is_wanted(log))
		return NULL;
	while (len > 0 && (text[len - 1] == '\r' || text[len - 1] == '\n'))
		len--;
	a.client_len = addr_print_host(peer, client);
	a.line = text != NULL ? text : "";
	a.line_len = access_cut(len, ACCESS_TEXT_MAX);
	return entry_new(log->access, &a);
}

struct access_entry *access_connection(const struct log_config *log, const struct listener_config *listener,
				       const struct addr *peer, const char *tls_version)
{
	char client[ADDR_TEXT_MAX];
	struct access_start a = { .listener = listener, .client = client, .tls = tls_version };

	if (!is_wanted(log))
		return NULL;
	a.client_len = addr_print_host(peer, client);
	return entry_new(log->access, &a);
}

static bool is_muted(const struct access_entry *e, const char *event)
{
	if (strcmp(event, "open") == 0)
		return (e->events & ACCESS_LOG_OPEN) == 0;
	if (strcmp(event, "close") == 0)
		return (e->events & ACCESS_LOG_CLOSE) == 0;
	return false;
}

void access_write(const struct access_entry *e, const struct access_end *end)
{
	char line[ACCESS_LINE_MAX];
	struct str s;

	if (e == NULL || is_muted(e, end->event))
		return;
	str_init(&s, line, sizeof(line));
	e->format->line(&s, e, end);
	if (!s.is_cut)
		log_access_write(s.at, s.len);
}

void access_free(struct access_entry *e)
{
	free(e);
}
