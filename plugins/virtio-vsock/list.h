/* SPDX-License-Identifier: BSD-3-Clause */
/* Lists whose nodes lie in what is listed: a node is put in and taken out in constant time, and may be in no list. */
#ifndef VIRTIO_VSOCK_LIST_H
#define VIRTIO_VSOCK_LIST_H

#include <stdbool.h>

struct node {
	struct node *next, *prev;
};

/* A list that is empty, or a node that is in none. */
static inline void list_init(struct node *node)
{
	node->next = node;
	node->prev = node;
}

/* Whether the list is empty, or the node in none. */
static inline bool list_empty(const struct node *node)
{
	return node->next == node;
}

/* To the end; the node is in no list. */
static inline void list_append(struct node *list, struct node *node)
{
	node->prev = list->prev;
	node->next = list;
	list->prev->next = node;
	list->prev = node;
}

/* Out of its list, if it is in one. */
static inline void list_remove(struct node *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	list_init(node);
}

#endif
