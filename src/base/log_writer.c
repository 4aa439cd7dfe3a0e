#include "base/log_writer.h"

#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>

#define GATHER_MS      10   /* lines are gathered this long after a write */
#define RETRY_MS       1000 /* after an error */
#define REPORT_MS      1000 /* dropped lines are reported at most this often */
#define STOP_MS	       1000 /* a sink that takes nothing is waited for this long at the end */
#define VECTOR_MAX     64
#define WRITES_A_TURN  16 /* so that one sink does not keep the other waiting */

enum queue_owner { QUEUE_FREE, QUEUE_OWNED, QUEUE_LEFT };

/* head and tail count bytes since the queue was made; they never wrap. */
struct queue {
	/* written by the producer */
	alignas(64) _Atomic uint64_t head;
	uint64_t tail_seen; /* some earlier value of tail */
	_Atomic uint64_t dropped;
	/* written by the writer */
	alignas(64) _Atomic uint64_t tail;
	uint64_t turn_end; /* where the queue's present turn ends */
	/* seldom written */
	alignas(64) char *bytes; /* of sink->queue_len; NULL while nobody's */
	_Atomic int owner;	 /* enum queue_owner */
	struct queue *next;
};

enum announcement { WRITER_AWAKE, WRITER_GATHERS, WRITER_SLEEPS };

enum sink_mode {
	SINK_EMPTY,
	SINK_MORE,    /* something is left, try at once */
	SINK_BLOCKED, /* until poll(2) says otherwise */
	SINK_FAILED,  /* until retry_at_ms */
};

struct sink {
	const char *name;
	size_t queue_len; /* a power of two */
	struct queue *_Atomic queues; /* grows at the head; nothing is ever taken out */
	alignas(64) _Atomic int announced; /* enum announcement; read a line, written a batch */
	alignas(64) _Atomic uint64_t dropped; /* not by a queue's producer */

	/* the writer's */
	struct log_file file;
	enum sink_mode mode;
	uint64_t retry_at_ms, report_at_ms;
	uint64_t reported; /* of the lines dropped */
	struct queue *cursor; /* begin here; NULL: at the list's head */
	bool is_cut;	  /* the cursor's queue is in the midst of its turn */
	bool is_mid_line; /* what was written last is not the end of a line */

	/* under `lock` */
	struct log_file next_file;
	bool has_next_file;
};

static struct sink sinks[LOG_SINK_COUNT] = {
	[LOG_SINK_PROCESS] = { .name = "process log", .queue_len = LOG_QUEUE_PROCESS_LEN, .file = { .fd = -1 } },
	[LOG_SINK_ACCESS] = { .name = "access log", .queue_len = LOG_QUEUE_ACCESS_LEN, .file = { .fd = -1 } },
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* next_file, and new queues */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t thread_end_key;
static int once_error;
static int wake_fd = -1; /* made once, never closed: a producer may be about to write to it */
static pthread_t writer;
static atomic_bool is_running, is_stopping;
static _Atomic uint64_t wakes;

static _Thread_local struct queue *mine[LOG_SINK_COUNT];

/* ---- the producers' side ---- */

static void on_thread_end(void *unused)
{
	(void)unused;
	for (int i = 0; i < LOG_SINK_COUNT; i++) {
		if (mine[i] != NULL)
			atomic_store_explicit(&mine[i]->owner, QUEUE_LEFT, memory_order_release);
		mine[i] = NULL;
	}
}

static void init_once(void)
{
	int err = pthread_key_create(&thread_end_key, on_thread_end);

	if (err != 0) {
		once_error = -err;
		return;
	}
	wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (wake_fd < 0)
		once_error = -errno;
}

static void writer_wake(struct sink *s)
{
	uint64_t one = 1;

	if (atomic_exchange(&s->announced, WRITER_AWAKE) == WRITER_AWAKE)
		return; /* somebody else does it */
	atomic_fetch_add_explicit(&wakes, 1, memory_order_relaxed);
	if (write(wake_fd, &one, sizeof(one)) < 0) {
		/* only EAGAIN is possible, with the counter at its end: then the writer is woken already */
	}
}

/* A queue for the calling thread; NULL when memory is out. */
static struct queue *queue_attach(struct sink *s)
{
	char *bytes = malloc(s->queue_len);
	struct queue *q;

	if (bytes == NULL)
		return NULL;
	pthread_mutex_lock(&lock);
	for (q = atomic_load_explicit(&s->queues, memory_order_relaxed); q != NULL; q = q->next)
		if (atomic_load_explicit(&q->owner, memory_order_acquire) == QUEUE_FREE)
			break;
	if (q == NULL) {
		q = aligned_alloc(alignof(struct queue), sizeof(*q));
		if (q != NULL) {
			memset(q, 0, sizeof(*q));
			q->next = atomic_load_explicit(&s->queues, memory_order_relaxed);
			atomic_store_explicit(&s->queues, q, memory_order_release);
		}
	}
	if (q != NULL) {
		/* a recycled queue goes on from where it was: head == tail */
		q->bytes = bytes;
		q->tail_seen = atomic_load_explicit(&q->tail, memory_order_relaxed);
		atomic_store_explicit(&q->owner, QUEUE_OWNED, memory_order_release);
	}
	pthread_mutex_unlock(&lock);
	if (q == NULL)
		free(bytes);
	else
		pthread_setspecific(thread_end_key, q); /* on failure the queue is not recycled, no more */
	return q;
}

static void queue_copy_in(struct queue *q, size_t queue_len, uint64_t head, const char *line, size_t len)
{
	size_t at = head & (queue_len - 1), first = queue_len - at < len ? queue_len - at : len;

	memcpy(q->bytes + at, line, first);
	memcpy(q->bytes, line + first, len - first);
}

void log_writer_put(enum log_sink sink, const char *line, size_t len)
{
	struct sink *s = &sinks[sink];
	struct queue *q = mine[sink];
	uint64_t head;
	int announced;

	if (q == NULL)
		q = mine[sink] = queue_attach(s);
	if (q == NULL) {
		atomic_fetch_add_explicit(&s->dropped, 1, memory_order_relaxed);
		return;
	}
	head = atomic_load_explicit(&q->head, memory_order_relaxed);
	if (len > s->queue_len - (head - q->tail_seen))
		q->tail_seen = atomic_load_explicit(&q->tail, memory_order_acquire);
	if (len > s->queue_len - (head - q->tail_seen)) {
		atomic_store_explicit(&q->dropped, atomic_load_explicit(&q->dropped, memory_order_relaxed) + 1,
				      memory_order_relaxed);
		return;
	}
	queue_copy_in(q, s->queue_len, head, line, len);
	/* sequentially consistent, as is the look that follows, and the writer's announcement and its look at head
	 * after that: one of the two sees the other */
	head += len;
	atomic_store(&q->head, head);
	announced = atomic_load(&s->announced);
	if (announced == WRITER_AWAKE)
		return;
	if (announced == WRITER_GATHERS && head - q->tail_seen > s->queue_len / 2)
		q->tail_seen = atomic_load_explicit(&q->tail, memory_order_acquire);
	if (announced == WRITER_SLEEPS || head - q->tail_seen > s->queue_len / 2)
		writer_wake(s);
}

uint64_t log_writer_dropped(enum log_sink sink)
{
	struct sink *s = &sinks[sink];
	uint64_t sum = atomic_load_explicit(&s->dropped, memory_order_relaxed);
	struct queue *q = atomic_load_explicit(&s->queues, memory_order_acquire);

	for (; q != NULL; q = q->next)
		sum += atomic_load_explicit(&q->dropped, memory_order_relaxed);
	return sum;
}

uint64_t log_writer_wakes(void)
{
	return atomic_load_explicit(&wakes, memory_order_relaxed);
}

bool log_writer_is_running(void)
{
	return atomic_load_explicit(&is_running, memory_order_acquire);
}

void log_writer_set_file(enum log_sink sink, struct log_file file)
{
	struct sink *s = &sinks[sink];
	struct log_file unused = LOG_FILE_INIT;

	pthread_mutex_lock(&lock);
	if (s->has_next_file)
		unused = s->next_file;
	s->next_file = file;
	s->has_next_file = true;
	pthread_mutex_unlock(&lock);
	log_file_close(&unused);
	if (log_writer_is_running()) {
		/* announced is not asked: a sink that waits or retries has to look, too */
		uint64_t one = 1;

		if (write(wake_fd, &one, sizeof(one)) < 0) {
			/* see writer_wake() */
		}
	}
}

/* ---- the writer's side ---- */

/* Frees the bytes of a queue whose thread has ended and whose lines are written. */
static void queue_recycle(struct queue *q)
{
	uint64_t tail = atomic_load_explicit(&q->tail, memory_order_relaxed);

	if (atomic_load_explicit(&q->owner, memory_order_acquire) != QUEUE_LEFT ||
	    atomic_load_explicit(&q->head, memory_order_relaxed) != tail)
		return;
	free(q->bytes);
	q->bytes = NULL;
	atomic_store_explicit(&q->owner, QUEUE_FREE, memory_order_release);
}

static bool sink_has_lines(const struct sink *s)
{
	for (struct queue *q = atomic_load(&s->queues); q != NULL; q = q->next)
		if (atomic_load(&q->head) != atomic_load_explicit(&q->tail, memory_order_relaxed))
			return true;
	return false;
}

struct batch {
	struct iovec vector[VECTOR_MAX];
	struct queue *of[VECTOR_MAX];
	int count;
};

/* Adds what the queue holds in its turn; false when the batch is full. */
static bool batch_add(struct batch *b, const struct sink *s, struct queue *q)
{
	uint64_t tail = atomic_load_explicit(&q->tail, memory_order_relaxed);

	if (!(s->is_cut && q == s->cursor))
		q->turn_end = atomic_load_explicit(&q->head, memory_order_acquire);
	if (q->turn_end == tail)
		queue_recycle(q);
	while (tail != q->turn_end) {
		size_t at = tail & (s->queue_len - 1), len = (size_t)(q->turn_end - tail);

		if (b->count == VECTOR_MAX)
			return false;
		if (len > s->queue_len - at)
			len = s->queue_len - at;
		b->vector[b->count] = (struct iovec){ q->bytes + at, len };
		b->of[b->count++] = q;
		tail += len;
	}
	return true;
}

/* All queues, in a ring that begins at the cursor: where a write was cut short, the rest of that queue's turn comes
 * first, and all others come before its next turn. */
static void batch_gather(struct batch *b, const struct sink *s)
{
	struct queue *first = atomic_load_explicit(&s->queues, memory_order_acquire), *q;

	b->count = 0;
	for (q = s->cursor != NULL ? s->cursor : first; q != NULL; q = q->next)
		if (!batch_add(b, s, q))
			return;
	if (s->cursor == NULL)
		return;
	for (q = first; q != s->cursor; q = q->next)
		if (!batch_add(b, s, q))
			return;
}

/* Takes `written` bytes out of the queues. */
static void batch_consume(const struct batch *b, struct sink *s, size_t written)
{
	for (int i = 0; i < b->count && written > 0; i++) {
		struct queue *q = b->of[i];
		uint64_t tail = atomic_load_explicit(&q->tail, memory_order_relaxed);
		size_t at = tail & (s->queue_len - 1), len = (size_t)(q->turn_end - tail);

		if (len > s->queue_len - at)
			len = s->queue_len - at;
		if (len > written)
			len = written;
		s->is_mid_line = q->bytes[at + len - 1] != '\n';
		written -= len;
		tail += len;
		s->is_cut = tail != q->turn_end;
		s->cursor = s->is_cut ? q : q->next;
		/* from here on the producer may write over it */
		atomic_store_explicit(&q->tail, tail, memory_order_release);
	}
}

/* Empties all queues unwritten, and counts the lines. */
static void sink_discard(struct sink *s)
{
	uint64_t lines = 0;
	struct batch b;

	for (batch_gather(&b, s); b.count > 0; batch_gather(&b, s)) {
		size_t bytes = 0;

		for (int i = 0; i < b.count; i++) {
			const char *at = b.vector[i].iov_base, *end = at + b.vector[i].iov_len;

			bytes += b.vector[i].iov_len;
			for (; (at = memchr(at, '\n', (size_t)(end - at))) != NULL; at++)
				lines++;
		}
		batch_consume(&b, s, bytes);
	}
	atomic_fetch_add_explicit(&s->dropped, lines, memory_order_relaxed);
}

static void sink_fail(struct sink *s, int err)
{
	if (s->mode != SINK_FAILED && s != &sinks[LOG_SINK_PROCESS])
		log_error("%s: %s; tried again every second", s->name, strerror(err));
	s->mode = SINK_FAILED;
	s->retry_at_ms = clock_now_ms() + RETRY_MS;
}

/* Writes what is there; true when something was written. */
static bool sink_write(struct sink *s)
{
	bool has_written = false;
	struct batch b;

	for (int i = 0; i < WRITES_A_TURN; i++) {
		ssize_t n;

		batch_gather(&b, s);
		if (b.count == 0) {
			s->mode = SINK_EMPTY;
			return has_written;
		}
		n = log_file_write(&s->file, b.vector, b.count);
		if (n == -EINTR)
			continue;
		if (n == -EAGAIN) {
			s->mode = SINK_BLOCKED;
			return has_written;
		}
		if (n <= 0) {
			sink_fail(s, n == 0 ? EIO : (int)-n);
			return has_written;
		}
		if (s->mode == SINK_FAILED && s != &sinks[LOG_SINK_PROCESS])
			log_info("%s: written again", s->name);
		s->mode = SINK_MORE;
		has_written = true;
		batch_consume(&b, s, (size_t)n);
	}
	s->mode = SINK_MORE;
	return has_written;
}

/* The rest of a line of which the old file has the beginning. */
static void sink_skip_line(struct sink *s)
{
	struct queue *q = s->cursor;
	uint64_t tail = atomic_load_explicit(&q->tail, memory_order_relaxed);

	assert(s->is_cut); /* a turn ends with a line's end */
	while (q->bytes[tail & (s->queue_len - 1)] != '\n')
		tail++;
	tail++;
	s->is_cut = tail != q->turn_end;
	s->is_mid_line = false;
	atomic_store_explicit(&q->tail, tail, memory_order_release);
	atomic_fetch_add_explicit(&s->dropped, 1, memory_order_relaxed);
}

/* Changes to the file that was set, if one was. */
static void sink_change_file(struct sink *s)
{
	struct log_file next;
	bool has_next;

	pthread_mutex_lock(&lock);
	has_next = s->has_next_file;
	next = s->next_file;
	s->has_next_file = false;
	pthread_mutex_unlock(&lock);
	if (!has_next)
		return;
	if (s->file.kind != LOG_FILE_NONE && s->mode != SINK_FAILED)
		sink_write(s);
	if (s->is_mid_line && !log_file_is_same(&s->file, &next))
		sink_skip_line(s);
	log_file_close(&s->file);
	s->file = next;
	s->mode = SINK_EMPTY;
}

/* One go at a sink; true when something was written. */
static bool sink_turn(struct sink *s, uint64_t now_ms)
{
	atomic_store_explicit(&s->announced, WRITER_AWAKE, memory_order_relaxed);
	sink_change_file(s);
	if (s->file.kind == LOG_FILE_NONE) {
		sink_discard(s);
		return false;
	}
	if (s->mode == SINK_FAILED && now_ms < s->retry_at_ms)
		return false;
	return sink_write(s);
}

static void sink_report(struct sink *s)
{
	uint64_t dropped = log_writer_dropped((enum log_sink)(s - sinks));

	if (dropped == s->reported)
		return;
	log_warn("%s: %llu lines dropped, written faster than they were taken", s->name,
		 (unsigned long long)(dropped - s->reported));
	s->reported = dropped;
}

/* Dropped lines are told once there is room again; those of the access log also while it is stuck: the process log is
 * another one. */
static void sink_report_in_time(struct sink *s, uint64_t now_ms)
{
	if (s == &sinks[LOG_SINK_PROCESS] && s->file.kind == LOG_FILE_NONE) {
		s->reported = log_writer_dropped(LOG_SINK_PROCESS); /* there is nobody to tell */
		return;
	}
	if ((s->mode != SINK_EMPTY && (s != &sinks[LOG_SINK_ACCESS] || s->mode != SINK_BLOCKED)) || now_ms < s->report_at_ms ||
	    log_writer_dropped((enum log_sink)(s - sinks)) == s->reported)
		return;
	sink_report(s);
	s->report_at_ms = now_ms + REPORT_MS;
}

/* How long the writer may wait for this sink, in ms, or -1; announces that it does. */
static int sink_settle(struct sink *s, bool has_written, uint64_t now_ms)
{
	if (s->mode == SINK_MORE)
		return 0;
	if (s->mode == SINK_FAILED)
		return s->retry_at_ms > now_ms ? (int)(s->retry_at_ms - now_ms) : 0;
	if (s->mode == SINK_BLOCKED)
		return s == &sinks[LOG_SINK_ACCESS] ? REPORT_MS : -1;
	if (has_written) {
		atomic_store_explicit(&s->announced, WRITER_GATHERS, memory_order_relaxed);
		return GATHER_MS;
	}
	atomic_store(&s->announced, WRITER_SLEEPS);
	if (sink_has_lines(s)) {
		atomic_store_explicit(&s->announced, WRITER_AWAKE, memory_order_relaxed);
		return 0;
	}
	if (log_writer_dropped((enum log_sink)(s - sinks)) != s->reported)
		return s->report_at_ms > now_ms ? (int)(s->report_at_ms - now_ms) : 0;
	return -1;
}

/* Until woken, until a blocked sink takes something, or until the time is over (-1: none). */
static void writer_wait(int timeout_ms)
{
	struct pollfd p[1 + LOG_SINK_COUNT] = { { .fd = wake_fd, .events = POLLIN } };
	uint64_t count;

	for (int i = 0; i < LOG_SINK_COUNT; i++) {
		p[1 + i].fd = sinks[i].mode == SINK_BLOCKED ? sinks[i].file.fd : -1;
		p[1 + i].events = POLLOUT;
	}
	if (poll(p, ARRAY_LEN(p), timeout_ms) > 0 && (p[0].revents & POLLIN) != 0)
		if (read(wake_fd, &count, sizeof(count)) < 0) {
			/* nothing to be done: a wake-up too many */
		}
}

static bool all_is_written(void)
{
	for (int i = 0; i < LOG_SINK_COUNT; i++)
		if (sinks[i].mode != SINK_FAILED && sink_has_lines(&sinks[i]))
			return false;
	return true;
}

static void *writer_run(void *unused)
{
	uint64_t stop_at_ms = 0;

	(void)unused;
	prctl(PR_SET_NAME, "log");
	for (;;) {
		bool has_written[LOG_SINK_COUNT];
		bool must_stop = atomic_load_explicit(&is_stopping, memory_order_acquire);
		uint64_t now_ms = clock_now_ms();
		int timeout_ms = -1;

		for (int i = 0; i < LOG_SINK_COUNT; i++)
			has_written[i] = sink_turn(&sinks[i], now_ms);
		for (int i = 0; i < LOG_SINK_COUNT; i++)
			sink_report_in_time(&sinks[i], now_ms);
		for (int i = 0; i < LOG_SINK_COUNT; i++) {
			int ms = sink_settle(&sinks[i], has_written[i], now_ms);

			if (ms >= 0 && (timeout_ms < 0 || ms < timeout_ms))
				timeout_ms = ms;
		}
		if (must_stop) {
			if (stop_at_ms == 0)
				stop_at_ms = now_ms + STOP_MS;
			if (all_is_written() || now_ms >= stop_at_ms)
				return NULL;
			if (timeout_ms < 0 || timeout_ms > (int)(stop_at_ms - now_ms))
				timeout_ms = (int)(stop_at_ms - now_ms);
		}
		writer_wait(timeout_ms);
	}
}

int log_writer_start(void)
{
	sigset_t all, before;
	int err;

	if (log_writer_is_running())
		return -EALREADY;
	pthread_once(&once, init_once);
	if (once_error != 0)
		return once_error;
	atomic_store(&is_stopping, false);
	/* now, or the first file would never be seen if another is set before the thread's first turn */
	for (int i = 0; i < LOG_SINK_COUNT; i++)
		sink_change_file(&sinks[i]);
	/* signals are for the main thread; and a broken pipe is an error here, whatever SIGPIPE does */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&writer, NULL, writer_run, NULL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (err != 0)
		return -err;
	atomic_store_explicit(&is_running, true, memory_order_release);
	return 0;
}

void log_writer_stop(void)
{
	uint64_t one = 1;

	if (!log_writer_is_running())
		return;
	atomic_store_explicit(&is_running, false, memory_order_release);
	atomic_store_explicit(&is_stopping, true, memory_order_release);
	if (write(wake_fd, &one, sizeof(one)) < 0) {
		/* see writer_wake() */
	}
	pthread_join(writer, NULL);
	for (int i = 0; i < LOG_SINK_COUNT; i++) {
		struct sink *s = &sinks[i];

		/* lines of threads that had seen is_running still set */
		if (s->file.kind != LOG_FILE_NONE)
			sink_write(s);
		sink_discard(s);
		log_file_close(&s->file);
		s->is_mid_line = false;
		s->mode = SINK_EMPTY;
		sink_report(s);
	}
}
