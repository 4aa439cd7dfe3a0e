/* The http probe: a request, whose response must have one of the statuses, and the body that is asked for.
 *
 * Where no body is asked for, the head decides.  What is decoded of the body is gathered at the beginning of what was
 * kept, behind the head. */
#include "base/list.h"
#include "cluster/probe.h"
#include "wire/http1_write.h"

#include <string.h>

#define FIELDS_MAX 128u

static bool http_init(struct probe *p, const char *host)
{
	long n;

	if (probe_head_begin(p, p->config->method, host) < 0)
		return false;
	n = http1_write_field_literal(p->out + p->out_len, sizeof(p->out) - p->out_len, "connection", "close");
	if (n < 0)
		return false;
	p->out_len += (uint32_t)n;
	n = http1_write_head_end(p->out + p->out_len, sizeof(p->out) - p->out_len);
	if (n < 0)
		return false;
	p->out_len += (uint32_t)n;
	return true;
}

static bool is_expected(const struct health_config *c, unsigned status)
{
	for (size_t i = 0; i < c->expect_status_count; i++)
		if (c->expect_status[i] == status)
			return true;
	return false;
}

static bool wants_body(const struct health_config *c)
{
	return c->expect_body.kind == PATTERN_REGEX || c->expect_body.text_len > 0;
}

static enum probe_verdict judge_body(struct probe *p)
{
	int matched = pattern_match(&p->config->expect_body, (const char *)p->in + p->body_at, p->body_len);

	if (matched == REGEX_MATCH)
		return probe_say(p, PROBE_GOOD, "the response is as expected");
	return probe_say(p, PROBE_BAD, "the body is not as expected (health.expect_body)");
}

static enum probe_verdict judge_head(struct probe *p, const struct http_head *head)
{
	enum http1_body_kind kind;
	uint64_t length;

	if (!is_expected(p->config, head->status))
		return probe_say(p, PROBE_BAD, "status %u", head->status);
	if (!wants_body(p->config))
		return probe_say(p, PROBE_GOOD, "status %u", head->status);
	kind = http1_response_body(head, http_method_of(p->config->method, strlen(p->config->method)), &length);
	http1_body_init(&p->body, kind, length, 0);
	return PROBE_MORE;
}

/* The head; what is behind it is still to be decoded. */
static enum probe_verdict head_step(struct probe *p, uint32_t *body_from)
{
	struct http_field fields[FIELDS_MAX];
	struct http_head head;
	int got = probe_head_read(p, &head, fields, FIELDS_MAX);

	if (got <= 0)
		return got == 0 ? PROBE_MORE : PROBE_BAD;
	p->head_seen = true;
	p->body_at = *body_from = (uint32_t)got;
	return judge_head(p, &head);
}

/* Decodes what lies in `in` from there on, to the end of what was decoded before. */
static enum probe_verdict body_step(struct probe *p, uint32_t from)
{
	while (!http1_body_is_over(&p->body)) {
		const uint8_t *data = NULL;
		size_t data_len = 0;
		long got;

		if (from == p->in_len)
			return PROBE_MORE;
		got = http1_body_decode(&p->body, p->in + from, p->in_len - from, &data, &data_len);
		if (got < 0)
			return probe_say(p, PROBE_BAD, "its response is malformed");
		if (data_len > 0)
			memmove(p->in + p->body_at + p->body_len, data, data_len);
		p->body_len += (uint32_t)data_len;
		from += (uint32_t)got;
		if (got == 0)
			return PROBE_MORE;
	}
	return judge_body(p);
}

static enum probe_verdict http_feed(struct probe *p, const uint8_t *in, size_t len)
{
	while (len > 0) {
		uint32_t from = p->in_len;
		enum probe_verdict verdict;
		size_t taken;

		probe_keep(p, in, len, &taken);
		if (taken == 0)
			return p->head_seen ? judge_body(p) :
					      probe_say(p, PROBE_BAD, "the head of its response is too large");
		in += taken;
		len -= taken;
		if (!p->head_seen) {
			verdict = head_step(p, &from);
			if (verdict != PROBE_MORE || !p->head_seen) {
				if (verdict != PROBE_MORE)
					return verdict;
				continue;
			}
		}
		verdict = body_step(p, from);
		if (verdict != PROBE_MORE)
			return verdict;
		p->in_len = p->body_at + p->body_len; /* the rest has been decoded */
	}
	return PROBE_MORE;
}

static enum probe_verdict http_eof(struct probe *p)
{
	if (p->head_seen && http1_body_eof(&p->body) == HTTP1_OK)
		return judge_body(p);
	return probe_say(p, PROBE_BAD, "it closed the connection %s", p->head_seen ? "within the body" : "without a response");
}

const struct probe_type probe_http = {
	.waits_for = "a response",
	.init = http_init,
	.feed = http_feed,
	.eof = http_eof,
};
