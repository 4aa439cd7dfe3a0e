/* One connection to the admin sockets: HTTP/1.1 by the project's codecs, one request at a time.
 *
 * A request is read whole (64 KiB of body at most), looked up in the table of commands, and answered at once or later:
 * whoever answers later keeps the client until it has called admin_end(), and looks whether the peer is still there.
 * Called by: control/admin (accepts), control/admin_commands and the commands (answer). */
#ifndef CONTROL_ADMIN_CLIENT_H
#define CONTROL_ADMIN_CLIENT_H

#include "base/str.h"
#include "control/admin.h"
#include "net/duplex.h"
#include "proxy/held.h"
#include "wire/http1_body.h"
#include "wire/http1_parse.h"

#define ADMIN_CLIENTS_MAX 256u
#define ADMIN_BODY_MAX	  65536u
#define ADMIN_ARGS_MAX	  2
#define ADMIN_ARG_MAX	  512 /* bytes of a name in a path, decoded */

struct admin_command;
struct json_t; /* jansson's */

struct admin_client {
	struct owner owner;
	struct list link; /* of admin.clients */
	struct admin *admin;
	struct duplex *d; /* NULL: gone */
	struct timer timer;
	struct held held; /* what came and is not read yet */
	struct http1_scan scan;
	struct http1_body body;
	struct str body_text;
	uint32_t queued_seen;
	enum admin_door door;
	bool is_answering; /* until admin_end() */
	bool is_running;   /* reading is on the stack */
	bool has_head;
	bool keep_alive;
	bool is_chunked; /* the answer */
	bool has_eof;
	bool is_endless; /* its answer has no end of its own: a peer that ends its side has left */
	bool is_text; /* the HAProxy commands: one line, one answer, the end */
	bool is_http10;
	bool is_from_page; /* it has an Origin */
	bool has_begun; /* the answer's head has left */

	/* the request, while it is answered */
	uint8_t method;
	char path[2048], query[2048];
	char args[ADMIN_ARGS_MAX][ADMIN_ARG_MAX]; /* what "*" stood for in the command's path */
	const struct admin_command *command;
	/* Whoever answers later: the peer takes more again, or is gone.  NULL: nobody waits. */
	void (*resume)(struct admin_client *);
	void *user;
};

/* Takes the descriptor. */
void admin_client_start(struct admin *a, enum admin_door door, int fd);
/* The process ends. */
void admin_client_drop(struct admin_client *c);

/* ---- the request ---- */

/* A parameter of the query, decoded; false: it is not there, or does not fit. */
bool admin_param(const struct admin_client *c, const char *name, char *out, size_t cap);
static inline struct control *admin_control(const struct admin_client *c)
{
	return c->admin->control;
}

/* ---- answers: each ends the request but for the first two of a stream ---- */

/* A whole answer; borrows the text. */
void admin_answer(struct admin_client *c, int status, const char *type, const void *text, size_t len);
/* Takes the value. */
void admin_answer_json(struct admin_client *c, int status, struct json_t *value);
/* application/problem+json (RFC 9457). */
void admin_problem(struct admin_client *c, int status, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The same with the names of what is wrong, each a member of "errors"; takes the array. */
void admin_problem_with(struct admin_client *c, int status, const char *detail, struct json_t *errors);

/* A streamed answer: begins, goes on, admin_end() ends it. */
void admin_begin(struct admin_client *c, int status, const char *type);
/* false: the peer is gone, or (admin_is_full) takes no more now. */
bool admin_write(struct admin_client *c, const void *bytes, size_t len);
static inline bool admin_is_gone(const struct admin_client *c)
{
	return c->d == NULL;
}
static inline bool admin_is_full(const struct admin_client *c)
{
	return c->d != NULL && duplex_is_full(c->d);
}
/* The request is answered: the next one, or the end. */
void admin_end(struct admin_client *c);

#endif
