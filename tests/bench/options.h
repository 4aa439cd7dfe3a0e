/* What the load generator was asked to do.  Written once by options_parse(), read by load.c. */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define PIDS_MAX 16
#define MESSAGE_MAX_BYTES (64u * 1024)

enum mode { MODE_WS_ECHO, MODE_WS_IDLE, MODE_WS_STALL, MODE_HANDSHAKE, MODE_HTTP, MODE_UPLOAD, MODE_COUNT };

struct options {
	enum mode mode;
	uint16_t port;
	size_t connections;
	uint64_t size;     /* bytes of a message or body */
	uint64_t count;    /* units after which it ends; 0: by the clock */
	double rate_per_s; /* messages in all; 0: as fast as they return */
	double seconds;    /* of the window */
	double warmup_s;
	bool tls, resume;
	bool wait; /* for a line on standard input before anything is opened */
	clockid_t proxy_clocks[PIDS_MAX];
	size_t proxy_count;
};

extern struct options options;
extern const char *const mode_names[MODE_COUNT];

/* Ends the process with the usage where they make no sense. */
void options_parse(int argc, char **argv);

#endif
