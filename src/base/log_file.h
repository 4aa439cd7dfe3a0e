/* Where a log goes: a file, a FIFO, a terminal or a socket, written without waiting for its reader.
 *
 * What was inherited (stdout, stderr) is opened a second time, since O_NONBLOCK on the descriptor itself would change it
 * for every process that shares it.
 * Called by: base/log and base/log_writer. */
#ifndef BASE_LOG_FILE_H
#define BASE_LOG_FILE_H

#include <stdbool.h>
#include <sys/types.h>
#include <sys/uio.h>

enum log_file_kind {
	LOG_FILE_NONE,
	LOG_FILE_DISK,	     /* never says EAGAIN; a slow disk is waited for */
	LOG_FILE_NONBLOCK,   /* says EAGAIN: FIFO, terminal */
	LOG_FILE_SOCKET,
	LOG_FILE_POLLED,     /* could not be opened a second time: asked before each write, small writes only */
};

struct log_file {
	enum log_file_kind kind;
	int fd;
};

#define LOG_FILE_INIT ((struct log_file){ LOG_FILE_NONE, -1 })

/* Opens or creates (mode 0640) for appending; "-" is stdout.  0 or a negative errno. */
int log_file_open(struct log_file *out, const char *path);
/* The same file as `fd`, which stays the caller's.  0 or a negative errno. */
int log_file_of(struct log_file *out, int fd);
/* Back to LOG_FILE_INIT. */
void log_file_close(struct log_file *f);

/* Bytes written, perhaps fewer than there are, or a negative errno; -EAGAIN when poll(2) will tell of room.  Changes
 * the vector.  With a closed reader -EPIPE; SIGPIPE has to be blocked or ignored. */
ssize_t log_file_write(const struct log_file *f, struct iovec *vector, int count);

/* Whether both are open, and are the same file, FIFO, terminal or socket. */
bool log_file_is_same(const struct log_file *a, const struct log_file *b);

#endif
