/* Random numbers: from the kernel for secrets and ids, and a fast generator for spreading and jitter. */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* Fills with bytes of getrandom(2), buffered per thread (256 bytes a call); cannot fail after boot. */
void random_bytes(void *out, size_t len);
/* Per-thread xoshiro-class generator seeded by the kernel: not for secrets. */
uint64_t random_fast(void);
/* Uniform in 0..below-1; below > 0. */
uint32_t random_below(uint32_t below);
/* value changed by up to ± percent of itself, uniformly. */
uint64_t random_jitter(uint64_t value, uint32_t percent);

#endif
