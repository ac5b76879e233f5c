/* SPDX-License-Identifier: BSD-3-Clause */
/* The parameters of a disk; see blk_values.h. */
#include "tests/bench/blk_values.h"

#include "core/base/fd.h"
#include "core/config/check.h"
#include "tests/bench/blk_driver.h"

#include <errno.h>
#include <sys/stat.h>

/* Its values take their places, which are constant, from the node. */
static int add_text(struct tree_node *group, const char *key, const char *text)
{
	struct tree_node *node;
	int r = tree_node_new(TREE_TEXT, key, text, group->place, &node);

	if (r < 0)
		return r;
	r = tree_append(group, node);
	if (r < 0)
		tree_node_free(node);
	return r;
}

int blk_values_new(const struct schema *schema, const char *path, int fd, bool direct, struct values **ret,
		   uint64_t *ret_blocks)
{
	struct place nowhere = { .file = "bench", .line = 1 };
	FD_AUTO int file = fd;
	struct tree_node *group;
	struct err ignored = ERR_NONE;
	struct stat info;
	int r;

	if (fstat(fd, &info) < 0)
		return -errno;
	r = tree_node_new(TREE_GROUP, NULL, NULL, nowhere, &group);
	if (r < 0)
		return r;
	r = add_text(group, "path", path);
	if (r == 0)
		r = add_text(group, "readonly", "true");
	if (r == 0)
		r = add_text(group, "direct", direct ? "true" : "false");
	if (r == 0)
		r = config_check_group(group, schema, "devices.disk", NULL, ret, &ignored);
	tree_node_free(group);
	if (r < 0)
		return r;
	values_get(*ret, "path", 0)->fd = fd_take(&file);
	*ret_blocks = (uint64_t)info.st_size / BLK_DRIVER_BLOCK;
	return 0;
}
