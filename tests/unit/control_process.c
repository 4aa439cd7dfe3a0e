/* What the process gives up. */
#include "control/process.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* In a child: it cannot be taken back. */
static int in_child(int (*fn)(void))
{
	pid_t child = fork();
	int status = -1;

	if (child == 0)
		_exit(fn());
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int dumps_are_forbidden(void)
{
	int before = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);

	process_forbid_dumps();
	return before * 10 + prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
}

static int privileges_are_forbidden(void)
{
	process_no_new_privileges();
	return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
}

static void what_is_given_up_is_gone(void **state)
{
	(void)state;
	assert_int_equal(in_child(dumps_are_forbidden), 10);
	assert_int_equal(in_child(privileges_are_forbidden), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(what_is_given_up_is_gone) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
