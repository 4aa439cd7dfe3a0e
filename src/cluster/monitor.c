#include "cluster/monitor.h"

#include "base/counters.h"
#include "base/log.h"
#include "cluster/health.h"
#include "cluster/leaving.h"
#include "net/stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define STACK_LEN	(1u << 19)
#define STOP_TURNS_MS	2000u /* the operations of what was closed get so long to end */

void monitor_order_free(struct monitor_order *o)
{
	if (o == NULL)
		return;
	if (o->release != NULL)
		o->release(o->held);
	free(o->clusters);
	free(o);
}

/* ---- mail ---- */

static void order_arrived(struct mail *mail)
{
	struct monitor_order *o = container_of(mail, struct monitor_order, mail);
	struct monitor *m = o->monitor;
	struct monitor_order *old = m->order;

	m->order = o;
	health_follow(m);
	leaving_look(m);
	monitor_order_free(old); /* last: checks have let go of it */
}

static void look_arrived(struct mail *mail)
{
	struct monitor *m = container_of(mail, struct monitor, look_mail);

	atomic_store(&m->look_posted, false);
	leaving_look(m);
}

static void stop_arrived(struct mail *mail)
{
	ring_stop(&container_of(mail, struct monitor, stop_mail)->ring);
}

void monitor_apply(struct monitor *m, struct ring *from, struct monitor_order *order)
{
	order->monitor = m;
	order->mail.run = order_arrived;
	ring_post(from, &m->ring, &order->mail);
}

void monitor_look(struct monitor *m, struct ring *from)
{
	if (!atomic_exchange(&m->look_posted, true))
		ring_post(from, &m->ring, &m->look_mail);
}

void monitor_stop(struct monitor *m, struct ring *from)
{
	if (m->has_thread)
		ring_post(from, &m->ring, &m->stop_mail);
}

/* ---- the thread ---- */

static void on_leaving_timer(struct timer *t)
{
	leaving_look(container_of(t, struct monitor, leaving_timer));
}

static void *thread_main(void *user)
{
	struct monitor *m = user;
	uint64_t until_ms;
	int err;

	counters_attach();
	err = ring_enable(&m->ring);
	if (err == 0)
		err = ring_run(&m->ring);
	if (err < 0)
		log_error("the monitor's ring failed: %s: endpoints are not checked any more", strerror(-err));
	health_done(m);
	until_ms = m->ring.now_ms + STOP_TURNS_MS;
	while (err >= 0 && m->ring.owners > 0 && m->ring.now_ms < until_ms) {
		streams_end(&m->ring);
		ring_timer_arm(&m->ring, &m->leaving_timer, 20); /* so that the turn ends */
		if (ring_turn(&m->ring) < 0)
			break;
	}
	timer_cancel(&m->leaving_timer);
	counters_detach();
	return NULL;
}

int monitor_init(struct monitor *m, struct clusters *clusters, unsigned ring_entries)
{
	int err;

	memset(m, 0, sizeof(*m));
	m->clusters = clusters;
	m->stop_mail.run = stop_arrived;
	m->look_mail.run = look_arrived;
	hash_map_init(&m->checks);
	timer_init(&m->leaving_timer, on_leaving_timer);
	err = ring_init(&m->ring, ring_entries, true);
	m->has_ring = err == 0;
	return err;
}

int monitor_start(struct monitor *m)
{
	pthread_attr_t attr;
	int err;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_LEN);
	err = pthread_create(&m->thread, &attr, thread_main, m);
	pthread_attr_destroy(&attr);
	m->has_thread = err == 0;
	return -err;
}

void monitor_done(struct monitor *m)
{
	if (m->has_thread)
		pthread_join(m->thread, NULL);
	if (m->has_ring) {
		/* orders that it did not live to read */
		for (struct mail *mail = m->ring.mail_first, *next; mail != NULL; mail = next) {
			next = mail->next;
			if (mail->run == order_arrived)
				monitor_order_free(container_of(mail, struct monitor_order, mail));
		}
		ring_done(&m->ring);
	}
	monitor_order_free(m->order);
	memset(m, 0, sizeof(*m));
}
