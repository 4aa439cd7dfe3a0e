#include "net/socket.h"

#include "base/list.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char directory[] = "/tmp/net_socket.XXXXXX";
static char path[96]; /* of a UNIX socket in it */

static int setup(void **state)
{
	(void)state;
	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/s", directory);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(path);
	assert_int_equal(rmdir(directory), 0);
	return 0;
}

static struct addr addr_of(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse(&a, text), 0);
	return a;
}

static struct addr unix_addr(void)
{
	char text[128];

	snprintf(text, sizeof(text), "unix:%s", path);
	return addr_of(text);
}

static int option(int fd, int level, int name)
{
	int value = -1;
	socklen_t len = sizeof(value);

	assert_int_equal(getsockopt(fd, level, name, &value, &len), 0);
	return value;
}

/* Connects as a stranger would; the descriptor. */
static int dial(const struct addr *to)
{
	int fd = socket(to->sa.sa_family, SOCK_STREAM, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, &to->sa, to->len), 0);
	return fd;
}

static int accept_soon(int listener, struct addr *peer)
{
	struct pollfd p = { listener, POLLIN, 0 };

	assert_int_equal(poll(&p, 1, 5000), 1);
	return socket_accept(listener, peer);
}

/* ---- listening ---- */

static void a_listener_is_as_it_says(void **state)
{
	static const char *const texts[] = { "127.0.0.1:0", "[::1]:0", "*:0", "unix:@holdfast-net-socket" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct addr a = addr_of(texts[i]), local;
		int fd = socket_listen(&a, false);

		if (fd == -EAFNOSUPPORT || fd == -EADDRNOTAVAIL)
			continue; /* no IPv6 here */
		assert_true(fd >= 0);
		assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
		assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
		assert_int_equal(option(fd, SOL_SOCKET, SO_ACCEPTCONN), 1);
		socket_local(fd, &local);
		assert_int_equal(local.sa.sa_family, a.sa.sa_family);
		if (a.sa.sa_family == AF_UNIX) {
			assert_true(addr_is_equal(&local, &a));
		} else {
			assert_true(addr_port(&local) != 0);
			assert_int_equal(option(fd, IPPROTO_TCP, TCP_NODELAY), 1);
			assert_int_equal(option(fd, SOL_SOCKET, SO_REUSEADDR), 1);
			assert_int_equal(option(fd, SOL_SOCKET, SO_REUSEPORT), 0);
		}
		assert_int_equal(socket_accept(fd, NULL), -EAGAIN);
		close(fd);
	}
}

static void only_shared_listeners_share_a_port(void **state)
{
	struct addr a = addr_of("127.0.0.1:0"), local;
	int first = socket_listen(&a, true), second, third;

	(void)state;
	assert_true(first >= 0);
	socket_local(first, &local);
	second = socket_listen(&local, true);
	assert_true(second >= 0);
	third = socket_listen(&local, false);
	assert_int_equal(third, -EADDRINUSE);
	close(first);
	close(second);
	first = socket_listen(&local, false);
	assert_true(first >= 0);
	assert_int_equal(socket_listen(&local, true), -EADDRINUSE);
	close(first);
}

/* As a user may write it: a listener on "*:80" and one on "0.0.0.0:80". */
static void all_addresses_of_both_families_go_beside_one_another(void **state)
{
	struct addr six = addr_of("*:0"), four = addr_of("0.0.0.0:0"), local;
	int a = socket_listen(&six, true), b;

	(void)state;
	if (a == -EAFNOSUPPORT)
		skip();
	assert_true(a >= 0);
	socket_local(a, &local);
	addr_set_port(&four, addr_port(&local));
	b = socket_listen(&four, true);
	assert_true(b >= 0);
	close(b);
	close(a);
}

static void what_a_dead_process_left_is_removed(void **state)
{
	struct addr a = unix_addr();
	struct stat st;
	int fd = socket_listen(&a, false), again;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(socket_listen(&a, false), -EADDRINUSE); /* somebody listens: stays */
	close(fd);
	assert_int_equal(stat(path, &st), 0); /* the file is left */
	again = socket_listen(&a, true);
	assert_true(again >= 0);
	close(again);
	socket_unlink(&a);
	assert_int_equal(stat(path, &st), -1);
	socket_unlink(&a);
}

static void a_file_that_is_no_socket_is_never_removed(void **state)
{
	struct addr a = unix_addr();
	struct stat st;
	int fd = open(path, O_CREAT | O_WRONLY, 0600);

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(socket_listen(&a, false), -EADDRINUSE);
	assert_int_equal(stat(path, &st), 0);
	unlink(path);
}

static void a_link_to_a_socket_is_not_followed(void **state)
{
	struct addr a = unix_addr();
	struct stat st;

	(void)state;
	assert_int_equal(symlink("/nowhere", path), 0);
	assert_int_equal(socket_listen(&a, false), -EADDRINUSE);
	assert_int_equal(lstat(path, &st), 0);
	unlink(path);
}

static void an_address_that_is_not_ours_is_an_error(void **state)
{
	struct addr a = addr_of("192.0.2.1:0"); /* RFC 5737: nobody's */
	struct addr nowhere = addr_of("unix:/nowhere/at/all");

	(void)state;
	assert_int_equal(socket_listen(&a, false), -EADDRNOTAVAIL);
	assert_int_equal(socket_listen(&nowhere, false), -ENOENT);
	assert_int_equal(socket_new(&a, &a), -EADDRNOTAVAIL);
	assert_int_equal(socket_accept(-1, NULL), -EBADF);
}

/* ---- accepting ---- */

static void who_came_is_told(void **state)
{
	struct addr any = addr_of("*:0"), four = addr_of("127.0.0.1:0"), local, peer, mine;
	int listener = socket_listen(&any, false), client, server;

	(void)state;
	if (listener == -EAFNOSUPPORT)
		skip();
	assert_true(listener >= 0);
	socket_local(listener, &local);
	addr_set_port(&four, addr_port(&local));
	client = dial(&four);
	server = accept_soon(listener, &peer);
	assert_true(server >= 0);
	assert_int_equal(peer.sa.sa_family, AF_INET); /* though it came over an IPv6 socket */
	socket_local(client, &mine);
	assert_true(addr_is_equal(&peer, &mine));
	socket_local(server, &local);
	assert_true(addr_is_equal(&local, &four));
	assert_true(fcntl(server, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(option(server, IPPROTO_TCP, TCP_NODELAY), 1); /* inherited */
	assert_int_equal(option(server, SOL_SOCKET, SO_KEEPALIVE), 1);
	close(client);
	close(server);
	close(listener);
}

static void a_unix_peer_has_no_address(void **state)
{
	struct addr a = unix_addr(), peer, local;
	int listener = socket_listen(&a, false), client, server;

	(void)state;
	assert_true(listener >= 0);
	client = dial(&a);
	peer.len = 99;
	server = accept_soon(listener, &peer);
	assert_true(server >= 0);
	assert_int_equal(peer.len, 0);
	socket_local(server, &local);
	assert_true(addr_is_equal(&local, &a));
	close(client);
	close(server);
	close(listener);
	socket_unlink(&a);
	socket_local(-1, &local);
	assert_int_equal(local.len, 0);
}

static void a_connection_that_was_reset_in_the_queue_does_no_harm(void **state)
{
	struct addr a = addr_of("127.0.0.1:0"), local;
	int listener = socket_listen(&a, false), client, server;

	(void)state;
	assert_true(listener >= 0);
	socket_local(listener, &local);
	client = dial(&local);
	socket_reset_on_close(client);
	close(client);
	client = dial(&local);
	server = accept_soon(listener, NULL); /* the one, or (Linux gives it out) the other */
	assert_true(server >= 0);
	close(server);
	server = socket_accept(listener, NULL);
	assert_true(server >= 0 || server == -EAGAIN);
	if (server >= 0)
		close(server);
	close(client);
	close(listener);
}

/* ---- connecting ---- */

static void one_connects_from_where_it_should(void **state)
{
	struct addr a = addr_of("127.0.0.1:0"), from = addr_of("127.0.0.9:0"), local, peer;
	int listener = socket_listen(&a, false), client, server;

	(void)state;
	assert_true(listener >= 0);
	socket_local(listener, &local);
	client = socket_new(&local, &from);
	assert_true(client >= 0);
	assert_int_equal(option(client, IPPROTO_TCP, TCP_NODELAY), 1);
	assert_true(fcntl(client, F_GETFD) & FD_CLOEXEC);
	socket_local(client, &peer);
	assert_int_equal(addr_port(&peer), 0); /* chosen at connect: a port serves many targets */
	assert_int_equal(connect(client, &local.sa, local.len), 0);
	server = accept_soon(listener, &peer);
	addr_set_port(&from, addr_port(&peer));
	assert_true(addr_is_equal(&peer, &from));
	close(client);
	close(server);
	close(listener);
	client = socket_new(&(struct addr){ .len = sizeof(local.un), .un.sun_family = AF_UNIX }, NULL);
	assert_true(client >= 0);
	close(client);
}

static void a_close_with_reset_is_heard_as_one(void **state)
{
	struct addr a = addr_of("127.0.0.1:0"), local;
	int listener = socket_listen(&a, false), client, server;
	char byte;

	(void)state;
	socket_local(listener, &local);
	client = dial(&local);
	server = accept_soon(listener, NULL);
	socket_reset_on_close(server);
	close(server);
	assert_int_equal(recv(client, &byte, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
	close(client);
	close(listener);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_listener_is_as_it_says),
		cmocka_unit_test(only_shared_listeners_share_a_port),
		cmocka_unit_test(all_addresses_of_both_families_go_beside_one_another),
		cmocka_unit_test(what_a_dead_process_left_is_removed),
		cmocka_unit_test(a_file_that_is_no_socket_is_never_removed),
		cmocka_unit_test(a_link_to_a_socket_is_not_followed),
		cmocka_unit_test(an_address_that_is_not_ours_is_an_error),
		cmocka_unit_test(who_came_is_told),
		cmocka_unit_test(a_unix_peer_has_no_address),
		cmocka_unit_test(a_connection_that_was_reset_in_the_queue_does_no_harm),
		cmocka_unit_test(one_connects_from_where_it_should),
		cmocka_unit_test(a_close_with_reset_is_heard_as_one),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
