/* Listening sockets across configurations: opened as a whole, kept by address, closed when told. */
#include "control/sockets.h"

#include "net/socket.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define WORKERS 3u

static struct config *config_with(const char *binds)
{
	char text[1024];
	struct config_errors errors;
	struct config *c;
	int len = snprintf(text, sizeof(text),
			   "listeners: [{ name: web, bind: [%s], routes: [{ respond: { status: 200 } }] }]\n",
			   binds);

	config_errors_init(&errors);
	c = config_load_bytes("test", text, (size_t)len, &errors);
	if (c == NULL)
		config_errors_print(&errors, stderr);
	config_errors_done(&errors);
	assert_non_null(c);
	return c;
}

/* Whether it went well; `told` (may be NULL) must be in the errors when it did not. */
static bool open_all(struct sockets *s, const struct config *c, const char *told)
{
	struct config_errors errors;
	bool is_good;

	config_errors_init(&errors);
	is_good = sockets_open(s, c, &errors);
	assert_int_equal(is_good, errors.errors_count == 0);
	if (told != NULL) {
		assert_int_equal(errors.errors_count, 1);
		if (strstr(errors.list[0].text, told) == NULL)
			fail_msg("\"%s\" says nothing of \"%s\"", errors.list[0].text, told);
	}
	config_errors_done(&errors);
	return is_good;
}

/* A loopback port that is free just now. */
static unsigned free_port(void)
{
	struct addr a;
	int fd;

	assert_int_equal(addr_parse(&a, "127.0.0.1:0"), 0);
	fd = socket_listen(&a, false);
	assert_true(fd >= 0);
	socket_local(fd, &a);
	close(fd);
	return addr_port(&a);
}

static const char *bind_text(char *out, size_t cap, const char *host, unsigned port)
{
	snprintf(out, cap, "\"%s:%u\"", host, port);
	return out;
}

static bool can_connect(unsigned port)
{
	char text[64];
	struct addr a;
	int fd, err;

	snprintf(text, sizeof(text), "127.0.0.1:%u", port);
	assert_int_equal(addr_parse(&a, text), 0);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	err = connect(fd, &a.sa, a.len);
	close(fd);
	return err == 0;
}

static void fds_of(const struct sockets *s, const struct config *c, size_t which, int out[WORKERS])
{
	for (unsigned i = 0; i < WORKERS; i++) {
		struct worker_socket at[8];

		assert_true(sockets_of(s, c, i, NULL) <= 8);
		sockets_of(s, c, i, at);
		out[i] = at[which].fd;
		assert_ptr_equal(at[which].listener, &c->listeners[0]);
	}
}

static void every_worker_has_a_socket_of_its_own(void **state)
{
	unsigned port = free_port();
	char text[64];
	struct config *c = config_with(bind_text(text, sizeof(text), "127.0.0.1", port));
	struct sockets s;
	int fds[WORKERS];

	(void)state;
	sockets_init(&s, WORKERS);
	assert_true(open_all(&s, c, NULL));
	fds_of(&s, c, 0, fds);
	assert_true(fds[0] != fds[1] && fds[1] != fds[2] && fds[0] != fds[2]);
	assert_true(can_connect(port));
	sockets_done(&s);
	assert_false(can_connect(port));
	config_unref(c);
}

static void what_stays_is_kept_and_what_goes_is_closed_when_told(void **state)
{
	unsigned stays = free_port(), goes = free_port(), comes = free_port();
	char text[128];
	struct config *before, *after;
	struct sockets s;
	int was[WORKERS], is[WORKERS];

	(void)state;
	snprintf(text, sizeof(text), "\"127.0.0.1:%u\", \"127.0.0.1:%u\"", stays, goes);
	before = config_with(text);
	snprintf(text, sizeof(text), "\"127.0.0.1:%u\", \"127.0.0.1:%u\"", comes, stays);
	after = config_with(text);
	sockets_init(&s, WORKERS);
	assert_true(open_all(&s, before, NULL));
	fds_of(&s, before, 0, was);
	assert_true(open_all(&s, after, NULL));
	assert_true(can_connect(stays) && can_connect(goes) && can_connect(comes));
	sockets_keep(&s, after);
	assert_true(can_connect(stays) && can_connect(comes));
	assert_false(can_connect(goes));
	fds_of(&s, after, 1, is);
	assert_memory_equal(was, is, sizeof(was));
	sockets_done(&s);
	config_unref(before);
	config_unref(after);
}

/* Somebody else of the same user, who shares as well, and whom SO_REUSEPORT alone would not notice. */
static void an_address_in_use_leaves_everything_as_it_was(void **state)
{
	unsigned mine = free_port(), fresh = free_port(), taken;
	char text[160];
	struct config *before, *after;
	struct sockets s;
	struct addr a;
	int other;

	(void)state;
	assert_int_equal(addr_parse(&a, "127.0.0.1:0"), 0);
	other = socket_listen(&a, true);
	assert_true(other >= 0);
	socket_local(other, &a);
	taken = addr_port(&a);
	before = config_with(bind_text(text, sizeof(text), "127.0.0.1", mine));
	snprintf(text, sizeof(text), "\"127.0.0.1:%u\", \"127.0.0.1:%u\", \"127.0.0.1:%u\"", fresh, taken,
		 mine);
	after = config_with(text);
	sockets_init(&s, WORKERS);
	assert_true(open_all(&s, before, NULL));
	snprintf(text, sizeof(text), "127.0.0.1:%u: Address already in use", taken);
	assert_false(open_all(&s, after, text));
	assert_true(can_connect(mine));
	assert_false(can_connect(fresh));
	close(other);
	assert_true(open_all(&s, after, NULL));
	sockets_done(&s);
	config_unref(before);
	config_unref(after);
}

/* What one process had, another of so many workers takes: every queue has a reader, every worker a socket. */
static void inherited_sockets_all_have_a_reader(void **state)
{
	static const struct {
		unsigned before, workers, want; /* descriptors that are used in the end */
	} rows[] = { { 3, 3, 3 }, { 1, 3, 3 }, { 5, 2, 5 }, { 2, 1, 2 } };

	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(rows); n++) {
		unsigned port = free_port(), seen = 0;
		char text[64];
		struct config *c = config_with(bind_text(text, sizeof(text), "127.0.0.1", port));
		struct sockets s;
		int fds[8], used[16];

		for (unsigned i = 0; i < rows[n].before; i++) {
			fds[i] = socket_listen(&c->listeners[0].bind[0], true);
			assert_true(fds[i] >= 0);
		}
		sockets_init(&s, rows[n].workers);
		assert_int_equal(sockets_adopt(&s, &c->listeners[0].bind[0], fds, rows[n].before, false), 0);
		assert_true(open_all(&s, c, NULL));
		for (unsigned w = 0; w < rows[n].workers; w++) {
			struct worker_socket at[8];
			size_t count = sockets_of(&s, c, w, at);

			assert_true(count > 0);
			for (size_t i = 0; i < count; i++)
				used[seen++] = at[i].fd;
		}
		assert_int_equal(seen, rows[n].want);
		for (unsigned i = 0; i < seen; i++)
			for (unsigned k = 0; k < i; k++)
				assert_int_not_equal(used[i], used[k]);
		for (unsigned i = 0; i < rows[n].before; i++) {
			unsigned k = 0;

			while (k < seen && used[k] != fds[i])
				k++;
			assert_true(k < seen);
		}
		sockets_done(&s);
		config_unref(c);
	}
}

/* systemd's one cannot be added to: it is shared. */
static void a_socket_that_nobody_may_join_is_shared(void **state)
{
	unsigned port = free_port();
	char text[64];
	struct config *c = config_with(bind_text(text, sizeof(text), "127.0.0.1", port));
	struct sockets s;
	int fd = socket_listen(&c->listeners[0].bind[0], false), is[WORKERS];

	(void)state;
	sockets_init(&s, WORKERS);
	assert_int_equal(sockets_borrow(&s, &c->listeners[0].bind[0], fd), 0);
	assert_true(open_all(&s, c, NULL));
	fds_of(&s, c, 0, is);
	for (unsigned i = 0; i < WORKERS; i++)
		assert_int_equal(is[i], fd);
	sockets_done(&s);
	config_unref(c);
}

static void a_host_that_is_not_ours_is_told(void **state)
{
	struct config *c = config_with("\"192.0.2.1:8080\"");
	struct sockets s;

	(void)state;
	sockets_init(&s, WORKERS);
	assert_false(open_all(&s, c, "192.0.2.1:8080: "));
	assert_true(list_is_empty(&s.all));
	config_unref(c);
}

static void both_families_may_share_a_port_also_one_after_the_other(void **state)
{
	unsigned port = free_port();
	char text[128];
	struct config *one, *both;
	struct sockets s;

	(void)state;
	one = config_with(bind_text(text, sizeof(text), "0.0.0.0", port));
	snprintf(text, sizeof(text), "\"[::]:%u\", \"0.0.0.0:%u\"", port, port);
	both = config_with(text);
	sockets_init(&s, WORKERS);
	assert_true(open_all(&s, one, NULL));
	assert_true(open_all(&s, both, NULL));
	sockets_done(&s);
	assert_true(open_all(&s, both, NULL));
	sockets_done(&s);
	config_unref(one);
	config_unref(both);
}

static void a_unix_socket_is_shared_and_its_file_goes_with_it(void **state)
{
	char path[64], text[96];
	struct config *c;
	struct sockets s, second;
	struct stat st;
	int fds[WORKERS];

	(void)state;
	snprintf(path, sizeof(path), "/tmp/hf-control-%ld.sock", (long)getpid());
	snprintf(text, sizeof(text), "\"unix:%s\"", path);
	c = config_with(text);
	sockets_init(&s, WORKERS);
	sockets_init(&second, WORKERS);
	assert_true(open_all(&s, c, NULL));
	fds_of(&s, c, 0, fds);
	assert_true(fds[0] == fds[1] && fds[1] == fds[2]);
	assert_false(open_all(&second, c, "in use"));
	assert_int_equal(stat(path, &st), 0);
	sockets_keep(&s, NULL);
	assert_int_not_equal(stat(path, &st), 0);
	config_unref(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_worker_has_a_socket_of_its_own),
		cmocka_unit_test(what_stays_is_kept_and_what_goes_is_closed_when_told),
		cmocka_unit_test(an_address_in_use_leaves_everything_as_it_was),
		cmocka_unit_test(inherited_sockets_all_have_a_reader),
		cmocka_unit_test(a_socket_that_nobody_may_join_is_shared),
		cmocka_unit_test(a_host_that_is_not_ours_is_told),
		cmocka_unit_test(both_families_may_share_a_port_also_one_after_the_other),
		cmocka_unit_test(a_unix_socket_is_shared_and_its_file_goes_with_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
