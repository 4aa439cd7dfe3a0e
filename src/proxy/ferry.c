#include "proxy/ferry.h"

#include "base/str.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* Bytes under way one way before their source is asked to wait, and when it may go on. */
#define FERRY_HIGH  131072u
#define FERRY_LOW   65536u
#define FIELDS_MAX  24u

enum { NEAR, FAR }; /* where the client is; where its session is */

struct ferry;
struct parcel;
typedef void parcel_open(struct ferry *, const struct parcel *);

/* What goes across.  Opened there, once, in the thread of its end. */
struct parcel {
	struct mail mail;
	struct buf buf; /* of `bytes`, which go on where they lie */
	struct ferry *ferry;
	parcel_open *open;
	uint32_t number;
	uint8_t to;  /* which end */
	uint8_t why; /* enum reason */
	bool is_last; /* of its sender: lies in the ferry itself, for it must not fail */
	uint8_t bytes[];
};

struct ferry_side {
	uint32_t under_way; /* bytes sent by this end and not confirmed */
	uint32_t owed;	    /* bytes taken by this end and not confirmed */
	bool is_full;	    /* what goes from here has to wait */
	bool has_told, was_told; /* that it is over */
};

struct ferry {
	struct worker *at[2];
	atomic_uint open; /* ends that have not both told and been told that it is over */
	struct ferry_side sides[2];
	struct exchange *x[2]; /* of an exchange; NULL: gone */
	struct duplex *d;      /* of a stream: the client's; NULL: gone */
	struct duplex duplex;  /* and what stands for it over there */
	void (*arrived)(struct worker *, struct duplex *, struct slice, struct fallback_call *);
	void (*over)(void *);
	void *user;
	struct fallback_call call;
	union {
		struct parcel parcel;
		uint8_t room[sizeof(struct parcel)];
	} last[2];
};

/* ---- parcels ---- */

static void ferry_settle(struct ferry *f, int end)
{
	if (f->sides[end].has_told && f->sides[end].was_told && atomic_fetch_sub(&f->open, 1) == 1)
		free(f);
}

static void parcel_release(struct buf *b)
{
	free(container_of(b, struct parcel, buf));
}

static void parcel_over(struct ferry *f, int to)
{
	f->sides[to].was_told = true;
	ferry_settle(f, to);
}

static void parcel_arrived(struct mail *mail)
{
	struct parcel *p = container_of(mail, struct parcel, mail);
	struct ferry *f = p->ferry;
	bool is_last = p->is_last;
	int to = p->to;

	p->open(f, p);
	if (is_last)
		parcel_over(f, to);
	else
		buf_unref(&p->buf);
}

static void parcel_init(struct parcel *p, struct ferry *f, int from, parcel_open *open)
{
	p->mail.run = parcel_arrived;
	p->ferry = f;
	p->open = open;
	p->to = (uint8_t)!from;
}

/* NULL: memory is out. */
static struct parcel *parcel_new(struct ferry *f, int from, parcel_open *open, const void *bytes, uint32_t len)
{
	struct parcel *p = malloc(sizeof(*p) + len);

	if (p == NULL)
		return NULL;
	memset(p, 0, sizeof(*p));
	parcel_init(p, f, from, open);
	p->buf = (struct buf){ p->bytes, len, 1, parcel_release };
	if (len > 0)
		memcpy(p->bytes, bytes, len);
	return p;
}

static void parcel_send(struct parcel *p)
{
	struct ferry *f = p->ferry;

	ring_post(&f->at[!p->to]->ring, &f->at[p->to]->ring, &p->mail);
}

/* This end has nothing more to say.  Once. */
static void tell_last(struct ferry *f, int from, parcel_open *open, enum reason why)
{
	struct parcel *p = &f->last[from].parcel;

	if (f->sides[from].has_told)
		return;
	parcel_init(p, f, from, open);
	p->why = (uint8_t)why;
	p->is_last = true;
	f->sides[from].has_told = true;
	parcel_send(p);
	ferry_settle(f, from);
}

static void open_nothing(struct ferry *f, const struct parcel *p)
{
	(void)f, (void)p;
}

static struct ferry *ferry_new(struct worker *near, struct worker *far, const struct fallback_call *call)
{
	struct ferry *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return NULL;
	f->at[NEAR] = near;
	f->at[FAR] = far;
	f->call = *call;
	atomic_init(&f->open, 2);
	return f;
}

void ferry_mail_drop(struct worker *w)
{
	struct mail *m = ring_mail_take(&w->ring);

	while (m != NULL) {
		struct mail *next = m->next;
		struct parcel *p = container_of(m, struct parcel, mail);

		if (m->run == parcel_arrived && p->is_last)
			parcel_over(p->ferry, p->to);
		else if (m->run == parcel_arrived)
			free(p);
		m = next;
	}
}

/* ---- an exchange: its end over there ---- */

/* The client's half over there: what the handler says goes to the client's worker. */

static void far_exchange_free(struct ferry *f)
{
	exchange_free(f->x[FAR]);
	f->x[FAR] = NULL;
}

static void near_abort(struct ferry *f, const struct parcel *p)
{
	struct exchange *x = f->x[NEAR];

	f->x[NEAR] = NULL;
	tell_last(f, NEAR, open_nothing, REASON_NONE);
	if (x == NULL)
		return;
	x->handler = NULL;
	if (x->response_begun)
		x->client_ops->abort(x, p->why);
	else
		exchange_refuse(x, p->why);
}

static void near_end(struct ferry *f, const struct parcel *p)
{
	struct exchange *x = f->x[NEAR];

	(void)p;
	f->x[NEAR] = NULL;
	tell_last(f, NEAR, open_nothing, REASON_NONE);
	if (x == NULL)
		return;
	x->handler = NULL;
	x->client_ops->end(x, NULL, 0);
}

/* A head as a parcel: what is fixed, then the fields, then their texts. */
struct head_fixed {
	uint64_t length;
	uint32_t count;
	uint16_t status;
	uint8_t framing, why;
};

static void near_head(struct ferry *f, const struct parcel *p)
{
	struct exchange *x = f->x[NEAR];
	struct http_field fields[FIELDS_MAX];
	struct response_head head = { .own = fields };
	struct head_fixed fixed;
	size_t at = sizeof(fixed);

	if (x == NULL)
		return;
	memcpy(&fixed, p->bytes, sizeof(fixed));
	memcpy(fields, p->bytes + at, fixed.count * sizeof(fields[0]));
	at += fixed.count * sizeof(fields[0]);
	for (uint32_t i = 0; i < fixed.count; i++) {
		fields[i].name = (const char *)p->bytes + at;
		at += fields[i].name_len;
		fields[i].value = (const char *)p->bytes + at;
		at += fields[i].value_len;
	}
	head.status = fixed.status;
	head.own_count = fixed.count;
	head.framing = fixed.framing;
	head.length = fixed.length;
	x->why = fixed.why;
	x->client_ops->head(x, &head);
}

static void far_head(struct exchange *x, struct response_head *h)
{
	struct ferry *f = x->client;
	struct head_fixed fixed = { h->length, h->own_count, h->status, (uint8_t)h->framing, x->why };
	struct parcel *p = NULL;
	struct str s;

	if (fixed.count > FIELDS_MAX)
		fixed.count = FIELDS_MAX;
	x->response_begun = true;
	x->status = h->status;
	str_init_heap(&s, 1 << 20);
	str_bytes(&s, &fixed, sizeof(fixed));
	str_bytes(&s, h->own, fixed.count * sizeof(h->own[0]));
	for (uint32_t i = 0; i < fixed.count; i++) {
		str_bytes(&s, h->own[i].name, h->own[i].name_len);
		str_bytes(&s, h->own[i].value, h->own[i].value_len);
	}
	if (!s.is_cut)
		p = parcel_new(f, FAR, near_head, s.at, (uint32_t)s.len);
	str_done(&s);
	if (p != NULL)
		parcel_send(p);
	else
		tell_last(f, FAR, near_abort, REASON_NO_MEMORY);
}

/* ---- bytes, and room for them ---- */

static void far_room(struct ferry *f, const struct parcel *p);

/* What was taken is confirmed as soon as the client has room. */
static void near_confirm(struct ferry *f, parcel_open *open)
{
	struct ferry_side *s = &f->sides[NEAR];
	struct parcel *p = s->owed > 0 ? parcel_new(f, NEAR, open, NULL, 0) : NULL;

	if (p == NULL)
		return;
	p->number = s->owed;
	s->owed = 0;
	parcel_send(p);
}

static void near_body(struct ferry *f, const struct parcel *p)
{
	struct exchange *x = f->x[NEAR];
	struct parcel *own = container_of(p->buf.data, struct parcel, bytes);

	if (x == NULL)
		return;
	f->sides[NEAR].owed += p->buf.cap;
	buf_ref(&own->buf);
	if (x->client_ops->body(x, (struct slice){ &own->buf, own->bytes, own->buf.cap }) && f->x[NEAR] != NULL)
		near_confirm(f, far_room);
}

static bool far_body(struct exchange *x, struct slice in)
{
	struct ferry *f = x->client;
	struct ferry_side *s = &f->sides[FAR];
	struct parcel *p = s->has_told ? NULL : parcel_new(f, FAR, near_body, in.at, in.len);

	if (p == NULL) {
		tell_last(f, FAR, near_abort, REASON_NO_MEMORY);
	} else {
		s->under_way += in.len;
		parcel_send(p);
	}
	slice_unref(in);
	s->is_full = s->under_way >= FERRY_HIGH;
	return !s->is_full;
}

static void far_room(struct ferry *f, const struct parcel *p)
{
	struct ferry_side *s = &f->sides[FAR];
	struct exchange *x = f->x[FAR];

	s->under_way -= p->number;
	if (!s->is_full || s->under_way > FERRY_LOW)
		return;
	s->is_full = false;
	if (x != NULL && x->handler != NULL)
		x->handler->room(x);
}

/* ---- the ends of an exchange ---- */

static void far_end(struct exchange *x, const struct http_field *trailers, uint32_t count)
{
	struct ferry *f = x->client;

	(void)trailers, (void)count;
	far_exchange_free(f);
	tell_last(f, FAR, near_end, REASON_NONE);
}

static void far_abort(struct exchange *x, enum reason why)
{
	struct ferry *f = x->client;

	far_exchange_free(f);
	tell_last(f, FAR, near_abort, why);
}

static bool far_pass(struct exchange *x, struct duplex *from, uint64_t len, const struct passage_events *e, void *user)
{
	(void)x, (void)from, (void)len, (void)e, (void)user;
	return false;
}

static void far_read(struct exchange *x, bool on)
{
	(void)x, (void)on;
}

static const struct exchange_client far_ops = {
	.head = far_head,
	.body = far_body,
	.pass = far_pass,
	.end = far_end,
	.abort = far_abort,
	.read = far_read,
};

/* The client has gone. */
static void far_gone(struct ferry *f, const struct parcel *p)
{
	struct exchange *x = f->x[FAR];

	if (x != NULL) {
		if (x->handler != NULL)
			x->handler->gone(x, p->why);
		far_exchange_free(f);
	}
	tell_last(f, FAR, open_nothing, REASON_NONE);
}

static void far_start(struct ferry *f, const struct parcel *p)
{
	struct worker *w = f->at[FAR];
	struct exchange *x = w->is_stopping ? NULL : exchange_new(w, &far_ops, f);

	if (x == NULL) {
		buf_unref(f->call.body);
		tell_last(f, FAR, near_abort, w->is_stopping ? REASON_SHUTDOWN : REASON_NO_MEMORY);
		return;
	}
	x->is_logged = true; /* where it came in */
	x->request_over = true;
	x->method = (uint8_t)p->number;
	x->version_minor = 1;
	f->x[FAR] = x;
	fallback_serve(x, &f->call);
}

static void near_client_room(struct exchange *x)
{
	near_confirm(x->handler_user, far_room);
}

static void near_client_gone(struct exchange *x, enum reason why)
{
	struct ferry *f = x->handler_user;

	x->handler = NULL;
	f->x[NEAR] = NULL;
	tell_last(f, NEAR, far_gone, why);
}

static void near_client_eof(struct exchange *x)
{
	near_client_gone(x, REASON_CLIENT_CLOSED);
	x->client_ops->abort(x, REASON_CLIENT_CLOSED);
}

static const struct exchange_handler near_handler = {
	.body = exchange_ignore_body,
	.end = exchange_ignore_end,
	.room = near_client_room,
	.gone = near_client_gone,
	.eof = near_client_eof,
};

void ferry_exchange(struct exchange *x, struct worker *to, struct fallback_call *call)
{
	struct ferry *f = ferry_new(x->worker, to, call);
	struct parcel *p = f != NULL ? parcel_new(f, NEAR, far_start, NULL, 0) : NULL;

	if (p == NULL) {
		free(f);
		buf_unref(call->body);
		exchange_refuse(x, REASON_NO_MEMORY);
		return;
	}
	p->number = x->method;
	f->x[NEAR] = x;
	x->handler = &near_handler;
	x->handler_user = f;
	parcel_send(p);
}

/* ---- a stream ---- */

static struct ferry *ferry_of(struct duplex *d)
{
	return container_of(d, struct ferry, duplex);
}

static void near_stream_over(struct ferry *f)
{
	f->d = NULL;
	f->over(f->user);
}

static void near_finish(struct ferry *f, const struct parcel *p)
{
	(void)p;
	tell_last(f, NEAR, open_nothing, REASON_NONE);
	if (f->d == NULL)
		return;
	duplex_finish(f->d);
	near_stream_over(f);
}

static void near_close(struct ferry *f, const struct parcel *p)
{
	tell_last(f, NEAR, open_nothing, REASON_NONE);
	if (f->d == NULL)
		return;
	duplex_close(f->d, p->why);
	near_stream_over(f);
}

static void far_stream_room(struct ferry *f, const struct parcel *p)
{
	struct ferry_side *s = &f->sides[FAR];

	s->under_way -= p->number;
	f->duplex.queued = s->under_way;
	if (!s->is_full || s->under_way > FERRY_LOW)
		return;
	s->is_full = false;
	if (!s->has_told)
		f->duplex.events->on_room(&f->duplex);
}

static void near_write(struct ferry *f, const struct parcel *p)
{
	struct parcel *own = container_of(p->buf.data, struct parcel, bytes);

	if (f->d == NULL)
		return;
	f->sides[NEAR].owed += p->buf.cap;
	buf_ref(&own->buf);
	duplex_write(f->d, (struct slice){ &own->buf, own->bytes, own->buf.cap });
	if (!duplex_is_full(f->d))
		near_confirm(f, far_stream_room);
}

static bool far_write(struct duplex *d, struct slice in)
{
	struct ferry *f = ferry_of(d);
	struct ferry_side *s = &f->sides[FAR];
	struct parcel *p = s->has_told ? NULL : parcel_new(f, FAR, near_write, in.at, in.len);

	if (p != NULL) {
		s->under_way += in.len;
		parcel_send(p);
	}
	slice_unref(in);
	d->queued = s->under_way;
	s->is_full = duplex_is_full(d);
	return p != NULL;
}

static void near_read(struct ferry *f, const struct parcel *p)
{
	if (f->d != NULL)
		duplex_read(f->d, p->number != 0);
}

static void far_stream_read(struct duplex *d, bool on)
{
	struct ferry *f = ferry_of(d);
	struct parcel *p = f->sides[FAR].has_told ? NULL : parcel_new(f, FAR, near_read, NULL, 0);

	if (p == NULL)
		return;
	p->number = on;
	parcel_send(p);
}

static void far_stream_hold(struct duplex *d)
{
	far_stream_read(d, false);
}

static void far_stream_shutdown(struct duplex *d)
{
	(void)d;
}

static void far_stream_close(struct duplex *d, enum reason why)
{
	tell_last(ferry_of(d), FAR, near_close, why);
}

static void far_stream_finish(struct duplex *d)
{
	tell_last(ferry_of(d), FAR, near_finish, REASON_NONE);
}

static const struct duplex_ops far_stream_ops = {
	.write = far_write,
	.read = far_stream_read,
	.hold = far_stream_hold,
	.shutdown = far_stream_shutdown,
	.close = far_stream_close,
	.finish = far_stream_finish,
};

/* What the client says, over there. */

static void far_bytes(struct ferry *f, const struct parcel *p)
{
	struct parcel *own = container_of(p->buf.data, struct parcel, bytes);

	if (!f->sides[FAR].has_told)
		f->duplex.events->on_bytes(&f->duplex, (struct slice){ &own->buf, own->bytes, own->buf.cap });
}

static void far_eof(struct ferry *f, const struct parcel *p)
{
	(void)p;
	if (!f->sides[FAR].has_told)
		f->duplex.events->on_eof(&f->duplex);
}

static void far_closed(struct ferry *f, const struct parcel *p)
{
	bool was_over = f->sides[FAR].has_told;

	tell_last(f, FAR, open_nothing, REASON_NONE);
	if (!was_over)
		f->duplex.events->on_closed(&f->duplex, p->why);
}

static void near_on_bytes(struct duplex *d, struct slice in)
{
	struct ferry *f = d->user;
	struct parcel *p = parcel_new(f, NEAR, far_bytes, in.at, in.len);

	if (p != NULL) {
		parcel_send(p);
		return;
	}
	duplex_close(d, REASON_NO_MEMORY);
	near_stream_over(f);
	tell_last(f, NEAR, far_closed, REASON_NO_MEMORY);
}

static void near_on_eof(struct duplex *d)
{
	struct ferry *f = d->user;
	struct parcel *p = parcel_new(f, NEAR, far_eof, NULL, 0);

	if (p != NULL)
		parcel_send(p);
}

static void near_on_room(struct duplex *d)
{
	near_confirm(d->user, far_stream_room);
}

static void near_on_closed(struct duplex *d, enum reason why)
{
	struct ferry *f = d->user;

	near_stream_over(f);
	tell_last(f, NEAR, far_closed, why);
}

static void near_on_open(struct duplex *d)
{
	(void)d;
}

static const struct duplex_events near_events = { near_on_open, near_on_bytes, near_on_eof, near_on_room, near_on_closed };

static void far_arrived(struct ferry *f, const struct parcel *p)
{
	struct parcel *own = container_of(p->buf.data, struct parcel, bytes);

	f->duplex = (struct duplex){ .ops = &far_stream_ops, .high = FERRY_HIGH };
	if (f->at[FAR]->is_stopping)
		tell_last(f, FAR, near_close, REASON_SHUTDOWN);
	else
		f->arrived(f->at[FAR], &f->duplex, (struct slice){ &own->buf, own->bytes, own->buf.cap }, &f->call);
}

bool ferry_stream(struct worker *from, struct worker *to, const struct ferry_stream *what)
{
	struct ferry *f = ferry_new(from, to, &what->call);
	struct parcel *p = f != NULL ? parcel_new(f, NEAR, far_arrived, what->early.at, what->early.len) : NULL;

	if (p == NULL) {
		free(f);
		return false;
	}
	f->d = what->d;
	f->arrived = what->arrived;
	f->over = what->over;
	f->user = what->user;
	duplex_use(f->d, &near_events, f);
	parcel_send(p);
	return true;
}
