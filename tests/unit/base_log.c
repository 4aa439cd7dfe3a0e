/* base/log: a reader that is slow, gone or out of space never holds up a thread that logs; lines stay whole; what a
 * line says cannot make it two. */
#include "base/log.h"

#include "base/log_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#define WAIT_MS 10000 /* far more than anything here takes */

static char dir[] = "/tmp/base_log_XXXXXX";
static char path_a[64], path_b[64], path_fifo[64];
static int stderr_before, stderr_file; /* while a test runs, fd 2 is a file */

static int setup(void **state)
{
	(void)state;
	unlink(path_a);
	unlink(path_b);
	unlink(path_fifo);
	fflush(stderr);
	stderr_before = dup(2);
	stderr_file = open(path_a, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	unlink(path_a);
	dup2(stderr_file, 2);
	log_set_level(LOG_LEVEL_INFO);
	log_set_format(LOG_FORMAT_TEXT);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	log_stop();
	dup2(stderr_before, 2);
	close(stderr_before);
	close(stderr_file);
	return 0;
}

/* All of a file, with a NUL; the caller frees. */
static char *read_fd(int fd)
{
	size_t len = (size_t)lseek(fd, 0, SEEK_END);
	char *text = malloc(len + 1);

	assert_int_equal(pread(fd, text, len, 0), len);
	text[len] = '\0';
	return text;
}

static char *read_path(const char *path)
{
	int fd = open(path, O_RDONLY);
	char *text;

	assert_true(fd >= 0);
	text = read_fd(fd);
	close(fd);
	return text;
}

static unsigned count_lines(const char *text)
{
	unsigned count = 0;

	for (; (text = strchr(text, '\n')) != NULL; text++)
		count++;
	return count;
}

static uint64_t now_ms(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* CPU time of the process over 400 ms of doing nothing; a loop that spins takes all of it. */
static uint64_t idle_cpu_ms(void)
{
	uint64_t before = now_ms(CLOCK_PROCESS_CPUTIME_ID);

	poll(NULL, 0, 400);
	return now_ms(CLOCK_PROCESS_CPUTIME_ID) - before;
}

/* ---- what a line looks like ---- */

static void lines_before_the_start_go_out_at_once(void **state)
{
	char *text;

	(void)state;
	errno = EBUSY;
	log_info("port %d", 80);
	assert_int_equal(errno, EBUSY);
	text = read_fd(stderr_file);
	assert_non_null(strstr(text, "Z info port 80\n"));
	assert_int_equal(strlen(text), strlen("2026-01-01T00:00:00.000Z info port 80\n"));
	free(text);
}

static void level_is_a_threshold(void **state)
{
	char *text;

	(void)state;
	assert_int_equal(log_start(), 0);
	assert_int_equal(log_start(), -EALREADY);
	log_set_level(LOG_LEVEL_WARN);
	log_error("E");
	log_warn("W");
	log_info("I");
	log_debug("D");
	log_set_level(LOG_LEVEL_DEBUG);
	log_debug("D2");
	log_stop();
	text = read_fd(stderr_file);
	assert_non_null(strstr(text, "error E\n"));
	assert_non_null(strstr(text, "warn W\n"));
	assert_non_null(strstr(text, "debug D2\n"));
	assert_int_equal(count_lines(text), 3);
	free(text);
}

/* One line of our JSON; false if it is no such object, or its strings are not as RFC 8259 wants them. */
static bool is_json_line(const char *line, size_t len)
{
	const char *p = line, *end = line + len;
	unsigned strings = 0;

	if (len < 2 || *p++ != '{' || end[-1] != '}')
		return false;
	for (end--; p < end;) {
		if (*p++ != '"')
			return false;
		for (; p < end && *p != '"'; p++) {
			if ((uint8_t)*p < 0x20)
				return false;
			if (*p != '\\')
				continue;
			p++;
			if (*p == 'u') {
				for (unsigned i = 0; i < 4; i++)
					if (strchr("0123456789abcdef", *++p) == NULL || *p == '\0')
						return false;
			} else if (*p == '\0' || strchr("\"\\/bfnrt", *p) == NULL) {
				return false;
			}
		}
		if (p >= end)
			return false;
		p++;
		strings++;
		if (p < end && *p++ != (strings % 2 ? ':' : ','))
			return false;
	}
	return strings == 6;
}

static const char *const nasty[] = {
	"plain",
	"line\n2026-01-01T00:00:00.000Z error forged",
	"\r\n{\"time\":\"x\",\"level\":\"error\",\"message\":\"forged\"}",
	"quote \" and \\ backslash",
	"\x1b[31mred\x1b[0m \x07",
	"latin \xe9 and cut \xe2\x82",
	"\xc2\x85next line\xe2\x80\xa8line separator",
	"",
	"percent %s %n",
};
#define NASTY_COUNT (sizeof(nasty) / sizeof(nasty[0]))

static void no_message_forges_a_line(void **state)
{
	(void)state;
	for (unsigned format = LOG_FORMAT_TEXT; format <= LOG_FORMAT_JSON; format++) {
		unsigned lines = 0;
		char *text;

		assert_int_equal(ftruncate(stderr_file, 0), 0);
		lseek(stderr_file, 0, SEEK_SET);
		log_set_format((enum log_format)format);
		assert_int_equal(log_start(), 0);
		for (size_t i = 0; i < NASTY_COUNT; i++)
			log_info("client %s said", nasty[i]);
		log_stop();
		text = read_fd(stderr_file);
		for (char *at = text, *end; *at != '\0'; at = end + 1, lines++) {
			end = strchr(at, '\n');
			assert_non_null(end);
			for (char *c = at; c < end; c++)
				if ((uint8_t)*c < 0x20 || *c == 0x7f)
					fail_msg("control character in %.*s", (int)(end - at), at);
			if (format == LOG_FORMAT_JSON) {
				if (!is_json_line(at, (size_t)(end - at)))
					fail_msg("no JSON: %.*s", (int)(end - at), at);
			} else {
				assert_memory_equal(at + 23, "Z info client ", 14);
			}
		}
		assert_int_equal(lines, NASTY_COUNT);
		free(text);
	}
}

static void message_that_is_too_long_is_cut(void **state)
{
	char *message = malloc(20001), *text;

	(void)state;
	for (unsigned kind = 0; kind < 2; kind++) {
		assert_int_equal(ftruncate(stderr_file, 0), 0);
		lseek(stderr_file, 0, SEEK_SET);
		memset(message, kind ? '\x01' : 'a', 20000);
		message[20000] = '\0';
		log_set_format(LOG_FORMAT_JSON);
		assert_int_equal(log_start(), 0);
		log_info("%s", message);
		log_stop();
		text = read_fd(stderr_file);
		assert_int_equal(count_lines(text), 1);
		assert_true(strlen(text) > 3000);
		assert_true(strlen(text) <= 8192);
		assert_true(is_json_line(text, strlen(text) - 1));
		assert_string_equal(text + strlen(text) - 6, "...\"}\n");
		free(text);
	}
	free(message);
}

static void journal_gets_priorities_and_no_times(void **state)
{
	char stream[64], *text;
	struct stat st;

	(void)state;
	assert_int_equal(fstat(2, &st), 0);
	snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	assert_int_equal(log_start(), 0);
	log_error("E");
	log_info("I");
	log_stop();
	setenv("JOURNAL_STREAM", "1:1", 1); /* inherited, but stderr leads elsewhere */
	assert_int_equal(log_start(), 0);
	log_warn("W");
	log_stop();
	unsetenv("JOURNAL_STREAM");
	text = read_fd(stderr_file);
	assert_memory_equal(text, "<3>E\n<6>I\n2", 11);
	assert_non_null(strstr(text, "Z warn W\n"));
	free(text);
}

/* ---- readers that do not read ---- */

#define LINE_LEN 200

static void write_numbered(unsigned number)
{
	char line[LINE_LEN + 1];

	snprintf(line, sizeof(line), "%08u %0*d\n", number, LINE_LEN - 10, 0);
	log_access_write(line, LINE_LEN);
}

/* Takes what a FIFO has, until `*len` is at least `want` or nothing has come for WAIT_MS. */
static void read_until(int fd, char *into, size_t *len, size_t cap, size_t want)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	while (*len < want && poll(&p, 1, WAIT_MS) > 0) {
		ssize_t n = read(fd, into + *len, cap - *len);

		if (n <= 0)
			return;
		*len += (size_t)n;
	}
}

/* Whole lines in their order; how many. */
static unsigned expect_numbered(const char *text, size_t len)
{
	long last = -1;

	assert_int_equal(len % LINE_LEN, 0);
	for (size_t at = 0; at < len; at += LINE_LEN) {
		long number = strtol(text + at, NULL, 10);

		assert_true(number > last);
		assert_int_equal(text[at + LINE_LEN - 1], '\n');
		assert_int_equal(text[at + 8], ' ');
		assert_null(memchr(text + at, '\n', LINE_LEN - 1));
		last = number;
	}
	return (unsigned)(len / LINE_LEN);
}

/* The numbers that follow `words` in a log's text. */
static uint64_t sum_of_reports(const char *text, const char *words)
{
	uint64_t sum = 0;

	for (const char *at = text; (at = strstr(at, words)) != NULL;) {
		at += strlen(words);
		sum += strtoull(at, NULL, 10);
	}
	return sum;
}

static void full_fifo_never_holds_up_the_writer(void **state)
{
	enum { LINES = 20000 };
	uint64_t dropped_before = log_dropped(), dropped, began;
	size_t cap = LINES * LINE_LEN, len = 0;
	char *got = malloc(cap), *text;
	int reader;

	(void)state;
	assert_int_equal(mkfifo(path_fifo, 0600), 0);
	reader = open(path_fifo, O_RDONLY | O_NONBLOCK);
	assert_int_equal(log_access_open(path_fifo), 0);
	assert_int_equal(log_start(), 0);
	began = now_ms(CLOCK_MONOTONIC);
	for (unsigned i = 0; i < LINES; i++)
		write_numbered(i);
	/* nobody has read: had any of the lines waited for that, it would wait still */
	assert_true(now_ms(CLOCK_MONOTONIC) - began < WAIT_MS);
	dropped = log_dropped() - dropped_before;
	assert_true(dropped > 0);
	assert_true(LINES - dropped >= LOG_QUEUE_ACCESS_LEN / LINE_LEN);
	/* the process's own log is not held up by the other, and the thread that waits really does */
	log_info("still here");
	assert_true(idle_cpu_ms() < 200);
	read_until(reader, got, &len, cap, (size_t)(LINES - dropped) * LINE_LEN);
	assert_int_equal(expect_numbered(got, len), LINES - dropped);
	/* room again */
	len = 0;
	write_numbered(LINES);
	read_until(reader, got, &len, cap, LINE_LEN);
	assert_int_equal(len, LINE_LEN);
	log_stop();
	text = read_fd(stderr_file);
	assert_non_null(strstr(text, "still here\n"));
	/* told while it was stuck and after, each line once */
	assert_int_equal(sum_of_reports(text, "warn access log: "), dropped);
	assert_int_equal(log_dropped() - dropped_before, dropped);
	free(text);
	free(got);
	close(reader);
}

static void reader_may_come_later_and_go(void **state)
{
	char got[LINE_LEN * 4];
	size_t len = 0;
	int reader;

	(void)state;
	assert_int_equal(mkfifo(path_fifo, 0600), 0);
	assert_int_equal(log_access_open(path_fifo), 0);
	assert_int_equal(log_start(), 0);
	write_numbered(1);
	for (unsigned round = 1; round <= 3; round++) {
		reader = open(path_fifo, O_RDONLY | O_NONBLOCK);
		len = 0;
		read_until(reader, got, &len, sizeof(got), LINE_LEN);
		assert_int_equal(len, LINE_LEN);
		assert_int_equal(strtol(got, NULL, 10), round);
		close(reader);
		write_numbered(round + 1);
	}
}

static void stop_does_not_wait_for_a_reader(void **state)
{
	uint64_t dropped = log_dropped(), began;
	char want[64], *text;

	(void)state;
	assert_int_equal(mkfifo(path_fifo, 0600), 0);
	assert_int_equal(log_access_open(path_fifo), 0);
	assert_int_equal(log_start(), 0);
	for (unsigned i = 0; i < 1000; i++) /* three times what a FIFO holds */
		write_numbered(i);
	began = now_ms(CLOCK_MONOTONIC);
	log_stop();
	assert_true(now_ms(CLOCK_MONOTONIC) - began < WAIT_MS);
	/* what was not taken is counted */
	dropped = log_dropped() - dropped;
	assert_in_range(dropped, 1000 - 65536 / LINE_LEN - 1, 1000);
	text = read_fd(stderr_file);
	snprintf(want, sizeof(want), "warn access log: %u lines dropped", (unsigned)dropped);
	assert_non_null(strstr(text, want));
	free(text);
}

static void no_space_is_waited_for_without_spinning(void **state)
{
	char *text;

	(void)state;
	assert_int_equal(log_access_open("/dev/full"), 0);
	assert_int_equal(log_start(), 0);
	for (unsigned i = 0; i < 10; i++)
		write_numbered(i);
	assert_true(idle_cpu_ms() < 200);
	/* the lines are not lost: they go where there is space */
	assert_int_equal(log_access_open(path_a), 0);
	log_stop();
	text = read_path(path_a);
	assert_int_equal(expect_numbered(text, strlen(text)), 10);
	free(text);
	text = read_fd(stderr_file);
	assert_non_null(strstr(text, "error access log: No space left on device"));
	assert_int_equal(count_lines(text), 1);
	free(text);
}

static void expect_readers_end_survived(int ends[2])
{
	int stdout_before = dup(1);

	fflush(stdout);
	dup2(ends[1], 1);
	close(ends[1]);
	assert_int_equal(log_access_open("-"), 0);
	assert_int_equal(log_start(), 0);
	write_numbered(1);
	close(ends[0]); /* SIGPIPE has its default action, which would be the end of this process */
	for (unsigned i = 0; i < 5000; i++)
		write_numbered(i);
	assert_true(idle_cpu_ms() < 200);
	signal(SIGPIPE, SIG_IGN); /* as main does */
	log_stop();
	signal(SIGPIPE, SIG_DFL);
	dup2(stdout_before, 1);
	close(stdout_before);
}

static void reader_that_is_gone_is_survived(void **state)
{
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	expect_readers_end_survived(ends);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	expect_readers_end_survived(ends);
}

static void inherited_pipe_keeps_its_flags(void **state)
{
	int ends[2], stdout_before = dup(1), flags;
	char got[LINE_LEN];
	size_t len = 0;

	(void)state;
	assert_int_equal(pipe(ends), 0);
	fflush(stdout);
	dup2(ends[1], 1);
	close(ends[1]);
	flags = log_access_open("-") == 0 ? fcntl(1, F_GETFL) : -1;
	assert_int_equal(log_start(), 0);
	write_numbered(7);
	read_until(ends[0], got, &len, sizeof(got), LINE_LEN);
	dup2(stdout_before, 1);
	close(stdout_before);
	close(ends[0]);
	assert_int_equal(flags, O_WRONLY);
	assert_int_equal(len, LINE_LEN);
	assert_int_equal(strtol(got, NULL, 10), 7);
}

/* ---- files that change ---- */

static void lines_after_a_reopen_go_to_the_new_file(void **state)
{
	char *a, *b;

	(void)state;
	assert_int_equal(log_access_reopen(), 0); /* off: nothing to do */
	assert_false(log_access_is_on());
	assert_int_equal(log_access_open(path_a), 0);
	assert_true(log_access_is_on());
	assert_int_equal(log_start(), 0);
	for (unsigned i = 0; i < 100; i++)
		write_numbered(i);
	assert_int_equal(rename(path_a, path_b), 0);
	for (unsigned i = 100; i < 200; i++)
		write_numbered(i);
	assert_int_equal(log_access_reopen(), 0);
	for (unsigned i = 200; i < 300; i++)
		write_numbered(i);
	log_stop();
	assert_false(log_access_is_on());
	a = read_path(path_a);
	b = read_path(path_b);
	/* none is lost; what was written before the reopen is in the old file, to the last line */
	assert_int_equal(expect_numbered(a, strlen(a)) + expect_numbered(b, strlen(b)), 300);
	assert_true(strtol(b + strlen(b) - LINE_LEN, NULL, 10) >= 199);
	assert_true(*a == '\0' || strtol(b + strlen(b) - LINE_LEN, NULL, 10) < strtol(a, NULL, 10));
	free(a);
	free(b);
}

static void old_file_stays_where_the_new_one_fails(void **state)
{
	char *text, nowhere[96];

	(void)state;
	snprintf(nowhere, sizeof(nowhere), "%s/none/access.log", dir);
	assert_int_equal(log_access_open(path_a), 0);
	assert_int_equal(log_start(), 0);
	write_numbered(1);
	assert_int_equal(log_access_open(nowhere), -ENOENT);
	assert_int_equal(log_access_open(dir), -EISDIR);
	assert_true(log_access_is_on());
	write_numbered(2);
	/* and the path stays the old one */
	assert_int_equal(log_access_reopen(), 0);
	write_numbered(3);
	log_stop();
	text = read_path(path_a);
	assert_int_equal(expect_numbered(text, strlen(text)), 3);
	free(text);
}

#define LONG_LEN 10000

/* A FIFO with a page of room, and a line that is longer: it is cut in two, the second part waits in the queue, and ten
 * short lines after it.  Returns the reader; *filled is what the FIFO holds. */
static int cut_a_line(size_t *filled)
{
	char block[4096], line[LONG_LEN];
	int reader, filler, in_fifo = 0;

	assert_int_equal(mkfifo(path_fifo, 0600), 0);
	reader = open(path_fifo, O_RDONLY | O_NONBLOCK);
	filler = open(path_fifo, O_WRONLY | O_NONBLOCK);
	memset(block, '#', sizeof(block));
	for (*filled = 0; write(filler, block, sizeof(block)) == (ssize_t)sizeof(block);)
		*filled += sizeof(block);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(read(reader, block, sizeof(block)), sizeof(block));
	close(filler);
	assert_int_equal(log_access_open(path_fifo), 0);
	assert_int_equal(log_start(), 0);
	memset(line, 'L', sizeof(line));
	line[LONG_LEN - 1] = '\n';
	log_access_write(line, sizeof(line));
	while ((size_t)in_fifo < *filled) {
		assert_int_equal(ioctl(reader, FIONREAD, &in_fifo), 0);
		poll(NULL, 0, 1);
	}
	for (unsigned i = 0; i < 10; i++)
		write_numbered(i);
	return reader;
}

static void change_in_the_midst_of_a_line_leaves_no_half_line(void **state)
{
	uint64_t dropped = log_dropped();
	size_t filled;
	int reader = cut_a_line(&filled);
	char *text;

	(void)state;
	assert_int_equal(log_access_open(path_a), 0);
	log_stop();
	text = read_path(path_a);
	assert_int_equal(expect_numbered(text, strlen(text)), 10);
	assert_int_equal(log_dropped() - dropped, 1);
	free(text);
	close(reader);
}

static void reopening_a_fifo_keeps_the_line(void **state)
{
	uint64_t dropped = log_dropped();
	size_t filled, len = 0, want;
	int reader = cut_a_line(&filled);
	char *got;

	(void)state;
	assert_int_equal(log_access_reopen(), 0);
	want = filled - 4096 + LONG_LEN + 10 * LINE_LEN;
	got = malloc(want);
	read_until(reader, got, &len, want, want);
	assert_int_equal(len, want);
	for (size_t i = 0; i < LONG_LEN; i++)
		assert_int_equal(got[filled - 4096 + i], i < LONG_LEN - 1 ? 'L' : '\n');
	assert_int_equal(expect_numbered(got + want - 10 * LINE_LEN, 10 * LINE_LEN), 10);
	assert_int_equal(log_dropped() - dropped, 0);
	free(got);
	close(reader);
}

static void access_log_can_be_turned_off_and_on(void **state)
{
	char *text;

	(void)state;
	assert_int_equal(log_access_open(path_a), 0);
	assert_int_equal(log_start(), 0);
	write_numbered(1);
	assert_int_equal(log_access_open(NULL), 0);
	assert_false(log_access_is_on());
	write_numbered(2);
	assert_int_equal(log_access_open(path_a), 0);
	write_numbered(3);
	log_stop();
	text = read_path(path_a);
	assert_int_equal(expect_numbered(text, strlen(text)), 2);
	free(text);
}

/* ---- many threads ---- */

enum { THREADS = 4, THREAD_LINES = 20000 };

static void *write_many(void *arg)
{
	char line[256];

	for (unsigned i = 0; i < THREAD_LINES; i++) {
		unsigned fill = i * 7919 % 150;
		int len = snprintf(line, sizeof(line), "%u %u %0*d.\n", *(unsigned *)arg, i, (int)fill + 1, 0);

		log_access_write(line, (size_t)len);
	}
	return NULL;
}

static void lines_of_threads_do_not_mix(void **state)
{
	uint64_t dropped = log_dropped(), wakes = log_writer_wakes();
	unsigned numbers[THREADS], lines = 0;
	long next[THREADS] = { 0 };
	pthread_t threads[THREADS];
	char *text;

	(void)state;
	assert_int_equal(log_access_open(path_a), 0);
	assert_int_equal(log_start(), 0);
	for (unsigned i = 0; i < THREADS; i++) {
		numbers[i] = i;
		assert_int_equal(pthread_create(&threads[i], NULL, write_many, &numbers[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	log_stop();
	dropped = log_dropped() - dropped;
	text = read_path(path_a);
	for (char *at = text, *end; *at != '\0'; at = end + 1, lines++) {
		unsigned thread, number;
		int used = 0;

		end = strchr(at, '\n');
		assert_non_null(end);
		assert_int_equal(sscanf(at, "%u %u %*[0].%n", &thread, &number, &used), 2);
		assert_ptr_equal(at + used, end);
		assert_true(thread < THREADS);
		assert_true(number >= next[thread]);
		next[thread] = (long)number + 1;
	}
	assert_int_equal(lines + dropped, THREADS * THREAD_LINES);
	/* far from a system call a line */
	assert_true(log_writer_wakes() - wakes < THREADS * THREAD_LINES / 20);
	free(text);
}

static void *write_one(void *arg)
{
	write_numbered(*(unsigned *)arg);
	return NULL;
}

static void lines_of_threads_that_ended_are_written(void **state)
{
	char *text;

	(void)state;
	assert_int_equal(log_access_open(path_a), 0);
	assert_int_equal(log_start(), 0);
	for (unsigned i = 0; i < 300; i++) {
		pthread_t t;

		assert_int_equal(pthread_create(&t, NULL, write_one, &i), 0);
		pthread_join(t, NULL);
	}
	log_stop();
	text = read_path(path_a);
	assert_int_equal(strlen(text), 300 * LINE_LEN);
	free(text);
}

static void idle_writer_is_woken_by_one_line(void **state)
{
	char got[LINE_LEN * 4];
	int reader;

	(void)state;
	assert_int_equal(mkfifo(path_fifo, 0600), 0);
	reader = open(path_fifo, O_RDONLY | O_NONBLOCK);
	assert_int_equal(log_access_open(path_fifo), 0);
	assert_int_equal(log_start(), 0);
	for (unsigned i = 0; i < 200; i++) {
		size_t len = 0;

		write_numbered(i);
		read_until(reader, got, &len, sizeof(got), LINE_LEN);
		assert_int_equal(len, LINE_LEN);
		assert_int_equal(strtol(got, NULL, 10), i);
		if (i % 4 == 0)
			poll(NULL, 0, (int)(i % 30)); /* it gathers, or sleeps, or is about to */
	}
	assert_true(idle_cpu_ms() < 200);
	close(reader);
}

#define logged(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		logged(lines_before_the_start_go_out_at_once),
		logged(level_is_a_threshold),
		logged(no_message_forges_a_line),
		logged(message_that_is_too_long_is_cut),
		logged(journal_gets_priorities_and_no_times),
		logged(full_fifo_never_holds_up_the_writer),
		logged(reader_may_come_later_and_go),
		logged(stop_does_not_wait_for_a_reader),
		logged(no_space_is_waited_for_without_spinning),
		logged(reader_that_is_gone_is_survived),
		logged(inherited_pipe_keeps_its_flags),
		logged(lines_after_a_reopen_go_to_the_new_file),
		logged(old_file_stays_where_the_new_one_fails),
		logged(change_in_the_midst_of_a_line_leaves_no_half_line),
		logged(reopening_a_fifo_keeps_the_line),
		logged(access_log_can_be_turned_off_and_on),
		logged(lines_of_threads_do_not_mix),
		logged(lines_of_threads_that_ended_are_written),
		logged(idle_writer_is_woken_by_one_line),
	};
	int failed;

	unsetenv("JOURNAL_STREAM");
	if (mkdtemp(dir) == NULL)
		return 1;
	snprintf(path_a, sizeof(path_a), "%s/a", dir);
	snprintf(path_b, sizeof(path_b), "%s/b", dir);
	snprintf(path_fifo, sizeof(path_fifo), "%s/fifo", dir);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(path_a);
	unlink(path_b);
	unlink(path_fifo);
	rmdir(dir);
	return failed;
}
