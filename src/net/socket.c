#include "net/socket.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <sys/stat.h>
#include <unistd.h>

#define BACKLOG 65535 /* cut to net.core.somaxconn by the kernel */
#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

static bool set(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value)) == 0;
}

/* A path in the file system, not an abstract name. */
static bool has_file(const struct addr *a)
{
	return a->sa.sa_family == AF_UNIX && a->len > offsetof(struct sockaddr_un, sun_path) && a->un.sun_path[0] != '\0';
}

/* Removes the file of a UNIX socket when nobody answers on it: what a killed process has left behind. */
static void remove_stale(const struct addr *a)
{
	struct stat st;
	int fd;

	if (!has_file(a) || lstat(a->un.sun_path, &st) < 0 || !S_ISSOCK(st.st_mode))
		return;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	if (connect(fd, &a->sa, a->len) < 0 && errno == ECONNREFUSED)
		unlink(a->un.sun_path);
	close(fd);
}

int socket_listen(const struct addr *a, bool shared)
{
	bool is_unix = a->sa.sa_family == AF_UNIX;
	int fd = socket(a->sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int err;

	if (fd < 0)
		return -errno;
	if (is_unix)
		remove_stale(a);
	else if (!set(fd, SOL_SOCKET, SO_REUSEADDR, 1) || (shared && !set(fd, SOL_SOCKET, SO_REUSEPORT, 1)) ||
		 !set(fd, IPPROTO_TCP, TCP_NODELAY, 1) || !set(fd, SOL_SOCKET, SO_KEEPALIVE, 1))
		goto failed;
	/* [::] and 0.0.0.0 may stand beside one another: the kernel prefers the IPv4 socket for IPv4. */
	if (bind(fd, &a->sa, a->len) < 0 || listen(fd, BACKLOG) < 0)
		goto failed;
	return fd;
failed:
	err = errno;
	close(fd);
	return -err;
}

void socket_unlink(const struct addr *a)
{
	if (has_file(a))
		unlink(a->un.sun_path);
}

int socket_accept(int listener, struct addr *peer)
{
	struct addr from = { .len = 0 };
	socklen_t len = sizeof(from.un);
	int fd;

	do
		fd = accept4(listener, &from.sa, &len, SOCK_CLOEXEC);
	while (fd < 0 && (errno == EINTR || errno == ECONNABORTED));
	if (fd < 0)
		return -errno;
	if (peer != NULL) {
		from.len = len;
		if (from.sa.sa_family == AF_UNIX && len <= offsetof(struct sockaddr_un, sun_path))
			from.len = 0;
		addr_unmap(&from);
		*peer = from;
	}
	return fd;
}

int socket_new(const struct addr *to, const struct addr *from)
{
	int fd = socket(to->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int err;

	if (fd < 0)
		return -errno;
	if (to->sa.sa_family != AF_UNIX) {
		set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
		set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	}
	if (from != NULL) {
		set(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
		if (bind(fd, &from->sa, from->len) < 0) {
			err = errno;
			close(fd);
			return -err;
		}
	}
	return fd;
}

void socket_local(int fd, struct addr *out)
{
	socklen_t len = sizeof(out->un);

	out->len = 0;
	if (getsockname(fd, &out->sa, &len) < 0)
		return;
	out->len = len;
	addr_unmap(out);
}

bool socket_is_unix(int fd)
{
	int domain = AF_UNSPEC;
	socklen_t len = sizeof(domain);

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 && domain == AF_UNIX;
}

void socket_reset_on_close(int fd)
{
	struct linger l = { .l_onoff = 1, .l_linger = 0 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
}
