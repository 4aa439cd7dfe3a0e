/* Tokens: whatever comes, nothing is read beyond it; what is good is a token that our secret signed. */
#include "guard/jwt.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "must.h"

static const struct jwt_rules *rules(void)
{
	static char path[] = "/tmp/fuzz-jwt-XXXXXX";
	static char *algorithms[] = { (char *)(uintptr_t)"HS256" };
	static struct jwt_config c = { .secret_file = path, .algorithms = algorithms, .algorithms_count = 1 };
	static struct jwt_rules *made;
	struct config_errors errors;
	int fd;

	if (made != NULL)
		return made;
	fd = mkstemp(path);
	MUST(fd >= 0 && write(fd, "0123456789abcdef", 16) == 16);
	close(fd);
	config_errors_init(&errors);
	made = jwt_rules_new(&c, NULL, &errors);
	config_errors_done(&errors);
	unlink(path);
	MUST(made != NULL);
	return made;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *copy = malloc(len > 0 ? len : 1), text[256];
	struct jwt token, again;
	enum reason why;

	if (copy == NULL)
		return 0;
	if (len > 0)
		memcpy(copy, data, len);
	why = jwt_check(rules(), copy, len, 1000, &token);
	MUST(jwt_check(rules(), copy, len, 1000, &again) == why);
	MUST((why == REASON_NONE) == (token.claims != NULL));
	if (why == REASON_NONE)
		MUST(jwt_claim(&token, "sub", text, sizeof(text)) <= (long)sizeof(text));
	jwt_done(&token);
	jwt_done(&again);
	free(copy);
	return 0;
}
