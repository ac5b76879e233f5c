/* SPDX-License-Identifier: BSD-3-Clause */
/* How NETWORK and SOCKET values are written: checked for core/config, taken apart for whoever opens them. Main thread. */
#ifndef CONFIG_NETWORK_H
#define CONFIG_NETWORK_H

#include "core/base/err.h"
#include "core/base/values.h"

/* What a NETWORK names. */
enum network_form {
	NETWORK_NONE,    /* not a network */
	NETWORK_TAP,     /* "tap" with rest NULL, "tap:NAME" */
	NETWORK_FDS,     /* "fd:N,N" */
	NETWORK_PASST,   /* "passt" with rest NULL, "passt OPTIONS" */
	NETWORK_CONNECT, /* "connect:PATH" */
	NETWORK_LISTEN,  /* "listen:PATH" */
};

/* Which of the forms `text` has; `*ret_rest`, borrowed, is what stands behind "tap:", "passt " and so on, which has not been looked at. */
enum network_form network_form(const char *text, const char **ret_rest);

/* Checks a text of some form as far as that goes before anything is opened. -EINVAL with what is wrong, -ENOMEM. */
int network_check(const struct place *place, const char *text, struct err *complaint);

/* "_4294967295": what the longest number adds to the path of a socket that is connected to. */
#define NETWORK_NUMBER_MAX 11

/* Whether the kernel has room for a socket's path, once resolved, and `extra` bytes behind it. -EINVAL with the reason, -ENOMEM. */
int network_check_path(const struct place *place, const char *path, size_t extra, struct err *complaint);

/* The rest of "fd:": how many descriptors, in *ret in this order; -EINVAL with what is wrong. */
int network_fds(const char *rest, int ret[static BP_NETWORK_FDS_MAX], struct err *complaint);

/* The next word of passt's options, which stand between blanks; moves *at behind it. False: there is none. */
bool network_word(const char **at, const char **ret_word, size_t *ret_length);

/* How many queue pairs network `param` of `values` has. */
uint32_t network_pairs(const struct values *values, const struct param *param);

/* Checks that each network of `values` names as many descriptors as it has queue pairs. -EINVAL with place and path. */
int network_check_pairs(const struct values *values, struct err *err);

#endif
