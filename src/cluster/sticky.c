#include "cluster/sticky.h"

#include "base/digest.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define FILE_MIN 16u
#define FILE_MAX 4096u

const char *sticky_secret_read(const char *path, uint8_t out[STICKY_SECRET_LEN])
{
	char bytes[FILE_MAX + 1];
	FILE *f = fopen(path, "rbe");
	size_t len;

	if (f == NULL)
		return strerror(errno);
	len = fread(bytes, 1, sizeof(bytes), f);
	fclose(f);
	while (len > 0 && strchr(" \t\r\n", bytes[len - 1]) != NULL && bytes[len - 1] != '\0')
		len--;
	if (len > FILE_MAX)
		return "it is longer than 4,096 bytes";
	if (len < FILE_MIN)
		return "a secret needs 16 bytes at least: write some with `openssl rand -base64 32`";
	digest_sha256(bytes, len, out);
	explicit_bzero(bytes, sizeof(bytes));
	return NULL;
}

void sticky_token(const uint8_t secret[STICKY_SECRET_LEN], const char *cluster, const char *endpoint,
		  char out[STICKY_TOKEN_LEN + 1])
{
	uint8_t inner[64], mac[32];
	char encoded[48];

	/* Each name by itself first: "a" and "bc" must not be "ab" and "c". */
	digest_sha256(cluster, strlen(cluster), inner);
	digest_sha256(endpoint, strlen(endpoint), inner + 32);
	digest_hmac_sha256(secret, STICKY_SECRET_LEN, inner, sizeof(inner), mac);
	base64url_encode(mac, 16, encoded);
	memcpy(out, encoded, STICKY_TOKEN_LEN);
	out[STICKY_TOKEN_LEN] = '\0';
}
