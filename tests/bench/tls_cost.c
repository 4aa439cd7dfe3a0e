/* What TLS costs a server, without a kernel in between: a handshake in microseconds, a message in nanoseconds, of the
 * processor's time.
 *
 *     tls_cost [ROUNDS]
 *
 * Only the server's calls are timed; the client's engine runs in between, in the same thread.  Medians of ROUNDS rounds
 * (default 7). */
#include "net/tls.h"
#include "net/tls_context.h"
#include "net/tls_memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define WIRE_MAX   (8u << 20)
#define ROUNDS_MAX 99

struct wire {
	uint8_t *at;
	size_t len;
};

static struct wire to_server, to_client;
static uint64_t server_ns; /* spent in the server's calls */
static uint8_t plain[65536];

static uint64_t cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void emit(void *user, const uint8_t *bytes, size_t len)
{
	struct wire *w = user;

	if (w->len + len > WIRE_MAX)
		abort();
	memcpy(w->at + w->len, bytes, len);
	w->len += len;
}

static const struct tls_sink server_sink = { .emit = emit, .user = &to_client };
static const struct tls_sink client_sink = { .emit = emit, .user = &to_server };

static void client_take(struct tls *t)
{
	struct tls_input in = { .at = to_client.at, .len = to_client.len };

	while (tls_open(t, &in, plain, sizeof(plain), client_sink) > 0)
		;
	to_client.len = 0;
}

static void server_take(struct tls *t)
{
	struct tls_input in = { .at = to_server.at, .len = to_server.len };
	uint64_t begun_ns = cpu_ns();

	while (tls_open(t, &in, plain, sizeof(plain), server_sink) > 0)
		;
	server_ns += cpu_ns() - begun_ns;
	to_server.len = 0;
}

static void handshake(struct tls_context *server, struct tls_context *client, struct tls **s_out,
		      struct tls **c_out)
{
	uint64_t begun_ns = cpu_ns();
	struct tls *s = tls_new_server(server), *c;

	server_ns += cpu_ns() - begun_ns;
	c = tls_new_client(client, "bench.test");
	if (s == NULL || c == NULL)
		abort();
	tls_start(c, client_sink);
	while (to_server.len > 0 || to_client.len > 0) {
		server_take(s);
		client_take(c);
	}
	if (!tls_is_established(s) || !tls_is_established(c))
		abort();
	*s_out = s;
	*c_out = c;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double median(double *of, size_t count)
{
	qsort(of, count, sizeof(*of), by_value);
	return of[count / 2];
}

/* Microseconds of the server for one handshake, its object made and freed. */
static double handshake_round(struct tls_context *server, struct tls_context *client, bool is_resumed)
{
	enum { COUNT = 300 };

	server_ns = 0;
	for (int i = 0; i < COUNT; i++) {
		struct tls_info info;
		struct tls *s, *c;
		uint64_t begun_ns;

		handshake(server, client, &s, &c);
		tls_info(s, &info);
		if (info.is_resumed != is_resumed)
			abort();
		begun_ns = cpu_ns();
		tls_free(s);
		server_ns += cpu_ns() - begun_ns;
		tls_free(c);
	}
	return (double)server_ns / 1000 / COUNT;
}

/* Nanoseconds of the server to open a message and to seal one as long, each a record of its own. */
static double message_round(struct tls *s, struct tls *c, size_t len)
{
	const size_t count = len > 4096 ? 200 : 2000;
	static const uint8_t message[65536];
	struct tls_input in;
	uint64_t begun_ns;
	long n;

	for (size_t i = 0; i < count; i++)
		tls_seal(c, message, len, client_sink);
	in = (struct tls_input){ .at = to_server.at, .len = to_server.len };
	begun_ns = cpu_ns();
	for (size_t i = 0; i < count; i++) {
		n = tls_open(s, &in, plain, sizeof(plain), server_sink);
		if (n != (long)len || tls_seal(s, plain, len, server_sink) != 0)
			abort();
	}
	server_ns = cpu_ns() - begun_ns;
	to_server.len = 0;
	client_take(c);
	return (double)server_ns / (double)count;
}

int main(int argc, char **argv)
{
	static const char *const name = "bench.test";
	static const size_t lens[] = { 64, 1024, 16384 };
	size_t rounds = argc > 1 ? (size_t)atoi(argv[1]) : 7;
	struct tls_context *full, *resuming, *client;
	struct tls_tickets *tickets;
	double of[3][ROUNDS_MAX];
	struct tls *s, *c;

	tls_memory_init();
	tickets = tls_tickets_new(0);
	full = tls_context_new_self_signed(&name, 1, NULL);
	resuming = tls_context_new_self_signed(&name, 1, tickets);
	client = tls_context_new_client(&(struct tls_client_options){ 0 }, NULL, 0, NULL);
	to_server.at = malloc(WIRE_MAX);
	to_client.at = malloc(WIRE_MAX);
	if (rounds < 1 || rounds > ROUNDS_MAX || full == NULL || resuming == NULL || client == NULL ||
	    to_server.at == NULL || to_client.at == NULL)
		return 2;
	handshake(resuming, client, &s,
		  &c); /* the client has a session from here on; `full` cannot open it */
	for (size_t i = 0; i < rounds; i++) {
		of[0][i] = handshake_round(full, client, false);
		of[1][i] = handshake_round(resuming, client, true);
	}
	printf("handshake, TLS 1.3, P-256 certificate: full %.0f us, resumed %.0f us\n",
	       median(of[0], rounds), median(of[1], rounds));
	for (size_t k = 0; k < 3; k++) {
		for (size_t i = 0; i < rounds; i++)
			of[k][i] = message_round(s, c, lens[k]);
		printf("open and seal %zu bytes: %.0f ns\n", lens[k], median(of[k], rounds));
	}
	tls_free(s);
	tls_free(c);
	tls_context_unref(full);
	tls_context_unref(resuming);
	tls_context_unref(client);
	tls_tickets_free(tickets);
	free(to_server.at);
	free(to_client.at);
	return 0;
}
