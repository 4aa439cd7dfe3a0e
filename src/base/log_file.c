#include "base/log_file.h"

#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define OPEN_FLAGS (O_APPEND | O_NONBLOCK | O_CLOEXEC | O_NOCTTY)

static int fd_type(int fd, mode_t *type)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return -errno;
	*type = st.st_mode & S_IFMT;
	return 0;
}

int log_file_open(struct log_file *out, const char *path)
{
	mode_t type = 0;
	int fd, err;

	if (strcmp(path, "-") == 0)
		return log_file_of(out, STDOUT_FILENO);
	fd = open(path, O_WRONLY | O_CREAT | OPEN_FLAGS, 0640);
	if (fd < 0 && errno != ENXIO)
		return -errno;
	err = fd < 0 ? 0 : fd_type(fd, &type);
	if (err == 0 && (fd < 0 || type == S_IFIFO)) {
		/* a FIFO, with a reader or (ENXIO) without: with both ends open here, a reader may come and go, and
		 * nothing that it has not read is lost */
		if (fd >= 0)
			close(fd);
		fd = open(path, O_RDWR | OPEN_FLAGS);
		if (fd < 0)
			return -errno;
		err = fd_type(fd, &type);
	}
	if (err != 0) {
		close(fd);
		return err;
	}
	*out = (struct log_file){ type == S_IFREG ? LOG_FILE_DISK : LOG_FILE_NONBLOCK, fd };
	return 0;
}

int log_file_of(struct log_file *out, int fd)
{
	enum log_file_kind kind = LOG_FILE_NONBLOCK;
	char path[32];
	struct str s;
	mode_t type = 0;
	int copy = -1, err = fd_type(fd, &type);

	if (err != 0)
		return err;
	if (type == S_IFREG) {
		/* the offset must stay shared with whoever else writes there */
		kind = LOG_FILE_DISK;
	} else if (type == S_IFSOCK) {
		kind = LOG_FILE_SOCKET;
	} else {
		str_init(&s, path, sizeof(path));
		str_cstr(&s, "/proc/self/fd/");
		str_dec(&s, (uint64_t)fd);
		copy = open(str_text(&s), O_WRONLY | OPEN_FLAGS);
		if (copy < 0) /* no /proc, or another user's terminal */
			kind = LOG_FILE_POLLED;
	}
	if (copy < 0)
		copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (copy < 0)
		return -errno;
	*out = (struct log_file){ kind, copy };
	return 0;
}

void log_file_close(struct log_file *f)
{
	if (f->fd >= 0)
		close(f->fd);
	*f = LOG_FILE_INIT;
}

/* Cuts the vector after `max` bytes; the new count. */
static int vector_cut(struct iovec *vector, int count, size_t max)
{
	for (int i = 0; i < count; i++) {
		if (vector[i].iov_len >= max) {
			vector[i].iov_len = max;
			return i + 1;
		}
		max -= vector[i].iov_len;
	}
	return count;
}

static bool is_writable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };

	return poll(&p, 1, 0) == 1;
}

ssize_t log_file_write(const struct log_file *f, struct iovec *vector, int count)
{
	ssize_t n;

	switch (f->kind) {
	case LOG_FILE_SOCKET: {
		struct msghdr m = { .msg_iov = vector, .msg_iovlen = (size_t)count };

		n = sendmsg(f->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
		break;
	}
	case LOG_FILE_POLLED:
		if (!is_writable(f->fd))
			return -EAGAIN;
		/* a pipe that is writable takes this much without waiting (pipe(7)) */
		n = writev(f->fd, vector, vector_cut(vector, count, PIPE_BUF));
		break;
	case LOG_FILE_DISK:
	case LOG_FILE_NONBLOCK:
		n = writev(f->fd, vector, count);
		break;
	default:
		return -EBADF;
	}
	return n < 0 ? -errno : n;
}

bool log_file_is_same(const struct log_file *a, const struct log_file *b)
{
	struct stat sa, sb;

	if (a->fd < 0 || b->fd < 0 || fstat(a->fd, &sa) != 0 || fstat(b->fd, &sb) != 0)
		return false;
	return sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
}
