/* Where the process is asked and commanded: a UNIX socket that answers everything, and a TCP address that may only be
 * read.
 *
 * Both are served by control's own thread and ring, so that no connection of a client waits for an answer; what only a
 * worker knows is asked of it by mail.  The sockets follow the configuration as listeners do: a new one is opened before
 * anything else happens, an old one is closed when the new configuration is in force.
 * Called by: control (start, end), reload (changes). */
#ifndef CONTROL_ADMIN_H
#define CONTROL_ADMIN_H

#include "base/list.h"
#include "config/config.h"
#include "net/ring.h"

struct control;

enum admin_door { ADMIN_UNIX, ADMIN_TCP, ADMIN_DOORS };

/* On the heap: lives until the kernel holds nothing of it. */
struct admin_listening {
	struct owner owner;
	struct admin *admin;
	struct addr addr;
	struct op poll_op;
	struct timer retry;
	enum admin_door door;
	int fd;
};

/* The traffic of the last seconds, for rates. */
#define ADMIN_RATES 4
#define ADMIN_SAMPLES 6

struct admin {
	struct control *control;
	struct admin_listening *doors[ADMIN_DOORS]; /* NULL: closed */
	/* what the configuration to come wants there, where that is not the same as now */
	struct {
		struct addr addr; /* len 0: nothing */
		int fd;
		bool is_changed;
	} next[ADMIN_DOORS];
	/* listening sockets of the process before, until the first configuration has come; fd -1: none */
	struct {
		struct addr addr;
		int fd;
	} given[ADMIN_DOORS];
	bool is_handed; /* another process answers there: files stay */
	struct list clients; /* struct admin_client */
	unsigned clients_count;
	struct list jobs;    /* struct admin_job: what waits for workers */
	bool is_away;	     /* POST /drain: /ready says 503 */
	bool is_stopping;
	struct timer sample_timer;
	uint64_t sample_ms[ADMIN_SAMPLES];
	uint64_t samples[ADMIN_SAMPLES][ADMIN_RATES];
	unsigned samples_count, samples_at;
};

void admin_init(struct admin *a, struct control *c);

/* Opens what the configuration asks for and is not open; `errors` says what could not be, and then nothing has
 * changed. */
bool admin_prepare(struct admin *a, const struct config *config, struct config_errors *errors);
/* The configuration that was prepared comes into force, or (false) never will. */
void admin_commit(struct admin *a, bool is_good);

/* A listening socket of the process before (takes the descriptor): used where the first configuration wants its address. */
void admin_adopt(struct admin *a, enum admin_door door, const struct addr *addr, int fd);
/* The first configuration is in force: closes what it did not want. */
void admin_adopted(struct admin *a);
/* Another process has the sockets, or has closed them: answers no new clients. */
void admin_hand_over(struct admin *a);

/* Begins to accept: control's ring runs. */
void admin_start(struct admin *a);
/* Closes sockets and clients; turns the ring until nothing of them is in flight.  After the threads have ended. */
void admin_stop(struct admin *a);
void admin_done(struct admin *a);

/* What the rates are of. */
enum { ADMIN_RATE_HANDSHAKES, ADMIN_RATE_REQUESTS, ADMIN_RATE_MESSAGES_IN, ADMIN_RATE_MESSAGES_OUT };
/* A second, over the last few. */
double admin_rate(const struct admin *a, unsigned which);

#endif
