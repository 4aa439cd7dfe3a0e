#include "control/process.h"

#include "base/log.h"
#include "config/errors.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define RING_ENTRIES_ROOT 4096u
#define RING_ENTRIES	  1024u

void process_raise_files(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == limit.rlim_max)
		return;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		log_warn("the limit of open files cannot be raised: %s", strerror(errno));
}

/* Descriptors that are neither clients' nor endpoints': checks, logs, the admin socket's clients, pipes of passages. */
#define FILES_KEPT 64u /* or an eighth, where the limit is low */

unsigned process_connections_max(void)
{
	struct rlimit limit;
	int next = dup(STDERR_FILENO); /* the lowest that is free: so many are in use already, for good */
	uint64_t kept = next >= 0 ? (unsigned)next : 0;

	if (next >= 0)
		close(next);
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur / 2 > UINT32_MAX)
		return UINT32_MAX;
	kept += limit.rlim_cur / 8 < FILES_KEPT ? limit.rlim_cur / 8 : FILES_KEPT;
	return limit.rlim_cur > kept + 2 ? (unsigned)((limit.rlim_cur - kept) / 2) : 1;
}

void process_no_new_privileges(void)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		log_warn("PR_SET_NO_NEW_PRIVS: %s", strerror(errno));
}

void process_forbid_dumps(void)
{
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		log_warn("PR_SET_DUMPABLE: %s", strerror(errno));
}

unsigned process_cores(void)
{
	cpu_set_t set;

	/* with more than 1,024 processors it fails, and there a number can be configured */
	if (sched_getaffinity(0, sizeof(set), &set) < 0 || CPU_COUNT(&set) < 1)
		return 1;
	return (unsigned)CPU_COUNT(&set);
}

unsigned process_ring_entries(void)
{
	return geteuid() == 0 ? RING_ENTRIES_ROOT : RING_ENTRIES;
}

/* ---- the pid file ---- */

/* Whoever reads it meanwhile finds a number. */
static int pid_put(int fd, pid_t pid)
{
	char text[32];
	int len = snprintf(text, sizeof(text), "%ld\n", (long)pid);

	errno = 0;
	if (pwrite(fd, text, (size_t)len, 0) == len && ftruncate(fd, len) == 0)
		return 0;
	return errno == 0 ? EIO : errno;
}

bool process_pid_write(const char *path, int *fd, struct config_errors *errors)
{
	int err;

	*fd = -1;
	if (path == NULL)
		return true;
	/* not through a link: the directory may be somebody else's */
	*fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
	err = *fd < 0 ? errno : pid_put(*fd, getpid());
	if (err == 0)
		return true;
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	config_errors_add(errors, path, 0, 0, false, "the pid file cannot be written: %s", strerror(err));
	return false;
}

void process_pid_change(int fd, pid_t pid)
{
	int err = fd < 0 ? 0 : pid_put(fd, pid);

	if (err != 0)
		log_error("the pid file cannot be written: %s", strerror(err));
}

void process_pid_remove(const char *path)
{
	if (path != NULL && unlink(path) < 0 && errno != ENOENT)
		log_info("%s: the pid file stays: %s", path, strerror(errno));
}

/* ---- the user ---- */

void process_give(const char *path, const char *user)
{
	const struct passwd *entry = path == NULL || user == NULL || geteuid() != 0 ? NULL : getpwnam(user);
	struct stat st;
	int fd;

	if (entry == NULL)
		return;
	fd = open(path, O_WRONLY | O_APPEND | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return;
	/* no second name: it might be another's file */
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 1 &&
	    fchown(fd, entry->pw_uid, entry->pw_gid) < 0)
		log_warn("%s: cannot be given to %s: %s", path, user, strerror(errno));
	close(fd);
}

static bool add_failure(struct config_errors *errors, const char *user, const char *what, int err)
{
	config_errors_add(errors, "user", 0, 0, false, "%s: %s: %s", user, what, strerror(err));
	return false;
}

bool process_user_is_known(const char *user)
{
	return user == NULL || getpwnam(user) != NULL;
}

bool process_become(const char *user, struct config_errors *errors)
{
	const struct passwd *entry;

	if (user == NULL)
		return true;
	errno = 0;
	entry = getpwnam(user);
	if (entry == NULL)
		return add_failure(errors, user, "the user cannot be looked up", errno == 0 ? ENOENT : errno);
	if (geteuid() != 0) {
		if (geteuid() != entry->pw_uid)
			log_warn("user: %s: heeded only when started as root", user);
		return true;
	}
	if (initgroups(user, entry->pw_gid) < 0)
		return add_failure(errors, user, "initgroups", errno);
	if (setgid(entry->pw_gid) < 0)
		return add_failure(errors, user, "setgid", errno);
	if (setuid(entry->pw_uid) < 0)
		return add_failure(errors, user, "setuid", errno);
	return true;
}
