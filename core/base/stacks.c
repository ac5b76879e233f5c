/* SPDX-License-Identifier: BSD-3-Clause */
/* Stacks of threads; see stacks.h. */
#include "core/base/stacks.h"

#include <pthread.h>

#define STACK_BYTES (1u << 20)

void stacks_limit(void)
{
	pthread_attr_t attr;

	if (pthread_attr_init(&attr) != 0)
		return;
	/* A larger one would do as well. */
	if (pthread_attr_setstacksize(&attr, STACK_BYTES) == 0)
		(void)pthread_setattr_default_np(&attr);
	pthread_attr_destroy(&attr);
}
