#include "control/crew.h"

#include "base/counters.h"
#include "base/log.h"
#include "control/control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define START_MAX_MS 5000u
#define STACK_LEN    (1u << 19) /* of a worker: nothing recurses, and large things are on the heap */

/* ---- errands ---- */

static void errand_back(struct mail *mail)
{
	struct errand *e = container_of(mail, struct errand, mail);

	e->back(e->member);
}

static void errand_there(struct mail *mail)
{
	struct errand *e = container_of(mail, struct errand, mail);

	e->there(e->member);
	if (e->back != NULL)
		errand_tell(e, e->member, e->back);
}

void errand_send(struct errand *e, struct crew_member *m, void (*there)(struct crew_member *),
		 void (*back)(struct crew_member *))
{
	*e = (struct errand){ .mail.run = errand_there, .member = m, .there = there, .back = back };
	ring_post(&m->control->ring, &m->worker->ring, &e->mail);
}

void errand_tell(struct errand *e, struct crew_member *m, void (*back)(struct crew_member *))
{
	e->mail.run = errand_back;
	e->member = m;
	e->back = back;
	ring_post(&m->worker->ring, &m->control->ring, &e->mail);
}

void crew_heed_endpoints(struct ring *from, void *crew)
{
	struct crew *c = crew;

	for (unsigned i = 0; i < c->count; i++)
		worker_post_heed(&c->workers[i], from);
}

/* ---- threads ---- */

static void *thread_main(void *user)
{
	struct crew_member *m = user;
	uint64_t one = 1;

	if (counters_attach() < 0)
		log_warn("out of memory for the counters of worker %u: it counts more slowly",
			 m->worker->index);
	worker_run(m->worker);
	counters_detach();
	/* Not mail: the ring has made its last turn.  The counter of an eventfd has room for more threads than there are. */
	while (write(m->control->crew.ended_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
	return NULL;
}

static void ended_listen(struct crew *crew);

static void on_ended(struct op *op, int res, uint32_t flags)
{
	struct crew *crew = container_of(op, struct crew, ended_op);

	(void)flags;
	if (res == sizeof(crew->ended_more)) {
		crew->ended += (unsigned)crew->ended_more;
		shutdown_worker_ended(crew->control);
	}
	ended_listen(crew);
}

static void ended_listen(struct crew *crew)
{
	struct io_uring_sqe *sqe = ring_sqe(&crew->control->ring);

	io_uring_prep_read(sqe, crew->ended_fd, &crew->ended_more, sizeof(crew->ended_more), 0);
	ring_sqe_own(sqe, &crew->ended_op);
}

/* A ring that is not enabled takes no mail. */
static bool wait_running(const struct worker *w)
{
	const struct timespec pause = { .tv_nsec = 1000000 };

	for (unsigned ms = 0; ms < START_MAX_MS; ms++) {
		if (atomic_load(&w->ring.is_running))
			return true;
		nanosleep(&pause, NULL);
	}
	return false;
}

int crew_start(struct crew *crew)
{
	pthread_attr_t attr;
	int err = 0;

	op_init(&crew->ended_op, NULL, on_ended);
	ended_listen(crew);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_LEN);
	for (unsigned i = 0; i < crew->count && err == 0; i++) {
		err = pthread_create(&crew->workers[i].thread, &attr, thread_main, &crew->members[i]);
		crew->threads += err == 0;
	}
	pthread_attr_destroy(&attr);
	if (err != 0)
		return -err;
	for (unsigned i = 0; i < crew->count; i++)
		if (!wait_running(&crew->workers[i]))
			return -ETIMEDOUT;
	return 0;
}

void crew_join(struct crew *crew)
{
	while (crew->threads > 0)
		pthread_join(crew->workers[--crew->threads].thread, NULL);
}

/* ---- start and end ---- */

int crew_init(struct crew *crew, struct control *control, unsigned count, struct places *places,
	      unsigned ring_entries)
{
	memset(crew, 0, sizeof(*crew));
	crew->control = control;
	crew->ended_fd = eventfd(0, EFD_CLOEXEC);
	if (crew->ended_fd < 0)
		return -errno;
	crew->workers = calloc(count, sizeof(*crew->workers));
	crew->members = calloc(count, sizeof(*crew->members));
	if (crew->workers == NULL || crew->members == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < count; i++) {
		int err = worker_init(&crew->workers[i], i, crew->workers, count, places, ring_entries);

		if (err < 0)
			return err;
		crew->members[i].control = control;
		crew->members[i].worker = &crew->workers[i];
		crew->count++;
	}
	return 0;
}

void crew_done(struct crew *crew)
{
	for (unsigned i = 0; i < crew->count; i++) {
		worker_done(&crew->workers[i]);
		/* an errand that a worker did not live to do */
		snapshot_unref(crew->members[i].snapshot);
		free(crew->members[i].sockets);
	}
	free(crew->workers);
	free(crew->members);
	if (crew->ended_fd >= 0)
		close(crew->ended_fd);
	memset(crew, 0, sizeof(*crew));
	crew->ended_fd = -1;
}
