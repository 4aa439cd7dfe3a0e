/* proxy/session_core: tables for each rule, and a model of whole sessions.
 *
 * The model plays a client, a proxy with the real core, a backend, and carriers that are cut at any point with the loss
 * of a random tail, whose requests arrive late, and which overlap.  Whatever happens, each side gets every message once
 * and in order.  Then a rule at a time is broken: the model has to notice, or it would prove nothing. */
#include <stdbool.h>
#include <string.h>

static const char *mutant = "";
#define SESSION_MUTANT(rule) (strcmp(mutant, rule) == 0)
#include "proxy/session_core.c"

#include "base/list.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* ---- tables ---- */

static struct message *text_of(const char *text)
{
	struct message *m = message_new(MESSAGE_TEXT, (uint32_t)strlen(text));

	assert_non_null(m);
	memcpy(m->bytes, text, m->len);
	return m;
}

static const struct {
	const char *name;
	unsigned taken; /* numbers 1.. before */
	bool is_closed; /* the last of them was a Close */
	uint64_t number;
	enum core_result want;
} takes[] = {
	{ "the first", 0, false, 1, CORE_OK },
	{ "none has number 0", 0, false, 0, CORE_DUPLICATE },
	{ "a gap at the start", 0, false, 2, CORE_GAP },
	{ "the next", 3, false, 4, CORE_OK },
	{ "again", 3, false, 3, CORE_DUPLICATE },
	{ "an old one", 3, false, 1, CORE_DUPLICATE },
	{ "a gap", 3, false, 5, CORE_GAP },
	{ "far ahead", 3, false, UINT64_C(1) << 60, CORE_GAP },
	{ "behind a Close", 3, true, 4, CORE_CLOSED },
	{ "the Close again", 3, true, 3, CORE_DUPLICATE },
	{ "more messages than the window", SESSION_WINDOW_MESSAGES, false, SESSION_WINDOW_MESSAGES + 1, CORE_FULL },
};

static void a_number_is_taken_once_and_in_order(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(takes); i++) {
		struct session_core c;
		enum core_result got;

		session_core_init(&c, 1 << 20);
		for (unsigned n = 1; n <= takes[i].taken; n++) {
			struct message *m = text_of("x");

			if (takes[i].is_closed && n == takes[i].taken)
				m->kind = MESSAGE_CLOSE;
			assert_int_equal(session_core_take(&c, n, m), CORE_OK);
		}
		got = session_core_take(&c, takes[i].number, text_of("y"));
		if (got != takes[i].want)
			fail_msg("%s: %d, want %d", takes[i].name, got, takes[i].want);
		session_core_done(&c);
	}
}

static void what_is_acknowledged_is_forgotten_and_the_rest_is_sent_again(void **state)
{
	struct session_core c;
	uint64_t number;

	(void)state;
	session_core_init(&c, 1 << 20);
	assert_int_equal(session_core_attach(&c, 1, 0), CORE_OK);
	for (const char *t = "abcd"; *t != '\0'; t++)
		assert_int_equal(session_core_put(&c, text_of((char[2]){ *t, 0 })), CORE_OK);
	for (uint64_t n = 1; n <= 3; n++) {
		assert_non_null(session_core_next(&c, &number));
		assert_int_equal(number, n);
	}
	assert_int_equal(session_core_ack(&c, 4), CORE_FUTURE); /* not sent yet */
	assert_int_equal(session_core_ack(&c, 1), CORE_OK);
	assert_int_equal(session_core_ack(&c, 1), CORE_OK); /* says it again */
	assert_int_equal(c.down.count, 3);
	assert_int_equal(session_core_attach(&c, 1, 1), CORE_STALE);
	assert_int_equal(session_core_attach(&c, 2, 9), CORE_FUTURE);
	assert_int_equal(session_core_attach(&c, 2, 2), CORE_OK);
	assert_int_equal(session_core_next(&c, &number)->bytes[0], 'c');
	assert_int_equal(number, 3);
	/* an acknowledgement of the old carrier may be ahead of what this one was sent */
	assert_int_equal(session_core_attach(&c, 3, 2), CORE_OK);
	assert_int_equal(session_core_ack(&c, 3), CORE_OK);
	assert_int_equal(session_core_next(&c, &number)->bytes[0], 'd');
	assert_int_equal(number, 4);
	assert_null(session_core_next(&c, &number));
	session_core_done(&c);
}

static void one_message_always_passes_and_nothing_behind_a_close(void **state)
{
	struct session_core c;
	struct message *m = message_new(MESSAGE_BINARY, 100000);

	(void)state;
	session_core_init(&c, 4096);
	assert_false(session_core_is_full(&c));
	memset(m->bytes, 0, m->len);
	assert_int_equal(session_core_put(&c, m), CORE_OK);
	assert_true(session_core_is_full(&c));
	assert_int_equal(session_core_put(&c, message_new(MESSAGE_CLOSE, 0)), CORE_OK);
	assert_int_equal(session_core_put(&c, text_of("late")), CORE_CLOSED);
	assert_int_equal(c.down.count, 2);
	session_core_done(&c);
	assert_int_equal(session_core_memory(&c), 0);
}

/* ---- the model ---- */

#define CARRIERS   4	/* that may still have something under way */
#define PIPE	   16	/* records under way each way */
#define WINDOW	   8
#define STEPS	   4000
#define SESSIONS   3000
#define IDLE_STEPS 3000

enum record_kind { RECORD_ATTACH, RECORD_OPEN, RECORD_MESSAGE, RECORD_ACK };

struct record {
	enum record_kind kind;
	uint64_t a, b; /* turn, got; got; number, value; acknowledged */
};

struct pipe {
	struct record at[PIPE];
	unsigned count;
};

struct model_carrier {
	struct pipe up, down;
	uint64_t turn;
	bool is_alive;	/* as far as the client knows */
	bool is_opened; /* the client has read `open` on it */
	uint64_t sent_up; /* number of the last message on it */
};

struct model {
	struct session_core core;
	struct model_carrier carriers[CARRIERS];
	int at_proxy; /* who has the session; -1: nobody */
	int at_client; /* the newest */
	/* the client */
	uint64_t turn, said, acked, got;
	/* what each end of the whole way has seen */
	uint64_t backend_said, backend_got, client_got;
	uint64_t told_down, told_up; /* acknowledgements that were sent */
	uint64_t random;
	bool client_replays;
	bool has_failed;
	uint64_t cuts;
};

static uint32_t dice(struct model *m, uint32_t below)
{
	m->random ^= m->random << 13;
	m->random ^= m->random >> 7;
	m->random ^= m->random << 17;
	return (uint32_t)(m->random >> 33) % below;
}

static bool pipe_push(struct pipe *p, struct record r)
{
	if (p->count == PIPE)
		return false;
	p->at[p->count++] = r;
	return true;
}

static bool pipe_pop(struct pipe *p, struct record *out)
{
	if (p->count == 0)
		return false;
	*out = p->at[0];
	memmove(p->at, p->at + 1, --p->count * sizeof(p->at[0]));
	return true;
}

static void client_connect(struct model *m)
{
	int next = (m->at_client + 1) % CARRIERS;
	struct model_carrier *c = &m->carriers[next];

	*c = (struct model_carrier){ .turn = ++m->turn, .is_alive = true };
	if (m->at_proxy == next)
		m->at_proxy = -1; /* its old life is over */
	pipe_push(&c->up, (struct record){ RECORD_ATTACH, c->turn, m->got });
	m->at_client = next;
}

static void client_says(struct model *m)
{
	if (m->said - m->acked < WINDOW)
		m->said++;
}

/* As much of its log as the carrier has not had. */
static void client_sends(struct model *m)
{
	struct model_carrier *c = &m->carriers[m->at_client];

	if (!c->is_alive || !c->is_opened)
		return;
	if (c->sent_up < m->said && pipe_push(&c->up, (struct record){ RECORD_MESSAGE, c->sent_up + 1, c->sent_up + 1 }))
		c->sent_up++;
}

static void client_acks(struct model *m)
{
	struct model_carrier *c = &m->carriers[m->at_client];

	if (c->is_alive && c->is_opened && m->told_down < m->got && pipe_push(&c->up, (struct record){ RECORD_ACK, m->got, 0 }))
		m->told_down = m->got;
}

static void client_reads(struct model *m)
{
	struct model_carrier *c = &m->carriers[m->at_client];
	struct record r;

	if (!c->is_alive || !pipe_pop(&c->down, &r))
		return;
	switch (r.kind) {
	case RECORD_OPEN:
		c->is_opened = true;
		if (m->acked < r.a)
			m->acked = r.a;
		c->sent_up = m->client_replays ? r.a : m->said;
		m->told_down = 0;
		break;
	case RECORD_MESSAGE:
		if (r.a <= m->got)
			break;
		if (r.a != m->got + 1 || r.b != m->client_got + 1)
			m->has_failed = true;
		m->got = r.a;
		m->client_got = r.b;
		break;
	case RECORD_ACK:
		if (m->acked < r.a)
			m->acked = r.a;
		break;
	default:
		m->has_failed = true;
	}
}

static struct message *value_message(uint64_t value)
{
	struct message *msg = message_new(MESSAGE_BINARY, sizeof(value));

	memcpy(msg->bytes, &value, sizeof(value));
	return msg;
}

static uint64_t value_of(const struct message *msg)
{
	uint64_t value;

	memcpy(&value, msg->bytes, sizeof(value));
	return value;
}

/* Something comes in on a carrier, be it long dead. */
static void proxy_reads(struct model *m, int from)
{
	struct model_carrier *c = &m->carriers[from];
	struct record r;

	if (!pipe_pop(&c->up, &r))
		return;
	switch (r.kind) {
	case RECORD_ATTACH:
		if (session_core_attach(&m->core, r.a, r.b) != CORE_OK)
			break;
		m->at_proxy = from;
		m->told_up = 0;
		c->down.count = 0;
		pipe_push(&c->down, (struct record){ RECORD_OPEN, m->core.up_done, 0 });
		break;
	case RECORD_MESSAGE:
		session_core_take(&m->core, r.a, value_message(r.b));
		break;
	case RECORD_ACK:
		if (session_core_ack(&m->core, r.a) != CORE_OK)
			m->has_failed = true;
		break;
	default:
		m->has_failed = true;
	}
}

static void proxy_sends(struct model *m)
{
	struct model_carrier *c = m->at_proxy >= 0 ? &m->carriers[m->at_proxy] : NULL;
	const struct message *msg;
	uint64_t number;

	if (c == NULL || c->down.count == PIPE)
		return;
	if (m->told_up < m->core.up_done && dice(m, 2) == 0) {
		pipe_push(&c->down, (struct record){ RECORD_ACK, m->core.up_done, 0 });
		m->told_up = m->core.up_done;
	} else if ((msg = session_core_next(&m->core, &number)) != NULL) {
		pipe_push(&c->down, (struct record){ RECORD_MESSAGE, number, value_of(msg) });
	}
}

static void backend_reads(struct model *m)
{
	struct message *msg = session_core_deliver(&m->core);

	if (msg == NULL)
		return;
	if (value_of(msg) != m->backend_got + 1)
		m->has_failed = true;
	m->backend_got = value_of(msg);
	free(msg);
}

static void backend_says(struct model *m)
{
	if (!session_core_is_full(&m->core))
		session_core_put(&m->core, value_message(++m->backend_said));
}

/* What is under way on it is lost from some point on; the rest still arrives, at any time. */
static void cut(struct model *m)
{
	struct model_carrier *c = &m->carriers[m->at_client];

	if (!c->is_alive)
		return;
	c->is_alive = false;
	c->up.count = dice(m, c->up.count + 1);
	c->down.count = 0;
	m->cuts++;
	if (m->at_proxy == m->at_client && dice(m, 2) == 0)
		m->at_proxy = -1; /* it notices; or only later */
}

static void step(struct model *m, bool is_rough)
{
	switch (dice(m, is_rough ? 34 : 30)) {
	case 0 ... 4:
		client_says(m);
		break;
	case 5 ... 9:
		client_sends(m);
		break;
	case 10:
		client_acks(m);
		break;
	case 11 ... 15:
		client_reads(m);
		break;
	case 16 ... 17:
		proxy_reads(m, (int)dice(m, CARRIERS)); /* late ones too */
		break;
	case 18 ... 19:
		if (m->at_client >= 0)
			proxy_reads(m, m->at_client);
		break;
	case 20 ... 23:
		proxy_sends(m);
		break;
	case 24 ... 26:
		backend_reads(m);
		break;
	case 27 ... 29:
		backend_says(m);
		break;
	case 30:
		cut(m);
		break;
	default:
		if (!m->carriers[m->at_client].is_alive || dice(m, 20) == 0) /* or one more while it lives */
			client_connect(m);
	}
}

/* Everything that was said has arrived. */
static bool is_whole(const struct model *m)
{
	return m->backend_got == m->said && m->client_got == m->backend_said;
}

static void settle_step(struct model *m)
{
	for (int i = 0; i < CARRIERS; i++)
		proxy_reads(m, i);
	proxy_sends(m);
	backend_reads(m);
	client_reads(m);
	client_sends(m);
	client_acks(m);
}

struct totals {
	uint64_t up, down, cuts;
	unsigned failed, stalled;
};

static void session_run(uint64_t seed, bool client_replays, struct totals *t)
{
	struct model m = { .at_proxy = -1, .random = seed * UINT64_C(0x9e3779b97f4a7c15) + 1, .client_replays = client_replays };

	session_core_init(&m.core, 1 << 20);
	m.core.window_bytes = WINDOW * sizeof(uint64_t);
	client_connect(&m);
	for (int i = 0; i < STEPS && !m.has_failed; i++)
		step(&m, true);
	/* The network is good from here on; a client whose carrier is dead has noticed. */
	if (!m.carriers[m.at_client].is_alive)
		client_connect(&m);
	for (int i = 0; i < IDLE_STEPS && !m.has_failed && !is_whole(&m); i++)
		settle_step(&m);
	t->failed += m.has_failed;
	t->stalled += !m.has_failed && !is_whole(&m);
	t->up += m.backend_got;
	t->down += m.client_got;
	t->cuts += m.cuts;
	session_core_done(&m.core);
}

static struct totals sessions_run(const char *broken, bool client_replays, unsigned count)
{
	struct totals t = { 0 };

	mutant = broken;
	for (unsigned i = 1; i <= count; i++)
		session_run(i, client_replays, &t);
	mutant = "";
	return t;
}

static void sessions_lose_double_and_reorder_nothing(void **state)
{
	struct totals t = sessions_run("", true, SESSIONS);

	(void)state;
	print_message("%llu up, %llu down, %llu cuts\n", (unsigned long long)t.up, (unsigned long long)t.down,
		      (unsigned long long)t.cuts);
	assert_int_equal(t.failed, 0);
	assert_int_equal(t.stalled, 0);
	assert_true(t.up > SESSIONS * 20 && t.down > SESSIONS * 20 && t.cuts > SESSIONS * 10);
}

static void a_broken_rule_is_noticed(void **state)
{
	static const struct {
		const char *broken;
		bool client_replays;
	} mutants[] = { { "once", true }, { "turn", true }, { "replay", true }, { "", false } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(mutants); i++) {
		struct totals t = sessions_run(mutants[i].broken, mutants[i].client_replays, 200);

		print_message("without %s: %u of 200 failed, %u stalled\n",
			      mutants[i].client_replays ? mutants[i].broken : "the client's replay", t.failed, t.stalled);
		if (t.failed + t.stalled < 20)
			fail_msg("without %s nobody notices", mutants[i].broken);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_number_is_taken_once_and_in_order),
		cmocka_unit_test(what_is_acknowledged_is_forgotten_and_the_rest_is_sent_again),
		cmocka_unit_test(one_message_always_passes_and_nothing_behind_a_close),
		cmocka_unit_test(sessions_lose_double_and_reorder_nothing),
		cmocka_unit_test(a_broken_rule_is_noticed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
