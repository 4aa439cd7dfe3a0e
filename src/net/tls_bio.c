#include "net/tls_bio.h"

#include <assert.h>
#include <limits.h>
#include <pthread.h>
#include <string.h>

static pthread_once_t method_once = PTHREAD_ONCE_INIT;
static pthread_key_t bio_key; /* only so that a thread's end frees its BIO */
static BIO_METHOD *method;

static _Thread_local BIO *thread_bio;
static _Thread_local struct tls_io *current;

void tls_io_enter(struct tls_io *io)
{
	io->outer = current;
	current = io;
}

void tls_io_leave(struct tls_io *io)
{
	assert(current == io);
	current = io->outer;
}

struct tls *tls_io_connection(void)
{
	return current == NULL ? NULL : current->connection;
}

static int io_read(BIO *bio, char *out, int len)
{
	struct tls_input *in = current == NULL ? NULL : &current->in;
	size_t n;

	BIO_clear_retry_flags(bio);
	if (in == NULL || in->len == 0 || len <= 0) {
		BIO_set_retry_read(bio);
		return -1;
	}
	n = in->len < (size_t)len ? in->len : (size_t)len;
	memcpy(out, in->at, n);
	in->at += n;
	in->len -= n;
	return (int)n;
}

/* Never refuses: where the bytes go is bounded by who feeds the connection. */
static int io_write(BIO *bio, const char *bytes, int len)
{
	BIO_clear_retry_flags(bio);
	if (current != NULL && current->sink.emit != NULL && len > 0)
		current->sink.emit(current->sink.user, (const uint8_t *)bytes, (size_t)len);
	return len;
}

static long io_ctrl(BIO *bio, int command, long number, void *pointer)
{
	(void)bio, (void)number, (void)pointer;
	return command == BIO_CTRL_FLUSH; /* all else (push, pop, ktls, pending) asks for what we have not */
}

static void bio_free(void *bio)
{
	BIO_free(bio);
	thread_bio = NULL;
}

static void method_make(void)
{
	BIO_METHOD *m = BIO_meth_new(BIO_TYPE_SOURCE_SINK | BIO_get_new_index(), "holdfast");

	if (m == NULL)
		return;
	BIO_meth_set_read(m, io_read);
	BIO_meth_set_write(m, io_write);
	BIO_meth_set_ctrl(m, io_ctrl);
	if (pthread_key_create(&bio_key, bio_free) != 0) {
		BIO_meth_free(m);
		return;
	}
	method = m;
}

BIO *tls_io_bio(void)
{
	if (thread_bio == NULL) {
		pthread_once(&method_once, method_make);
		if (method == NULL)
			return NULL;
		thread_bio = BIO_new(method);
		if (thread_bio == NULL)
			return NULL;
		BIO_set_init(thread_bio, 1);
		if (pthread_setspecific(bio_key, thread_bio) != 0) {
			BIO_free(thread_bio);
			thread_bio = NULL;
			return NULL;
		}
	}
	if (!BIO_up_ref(thread_bio))
		return NULL;
	return thread_bio;
}
