/* SPDX-License-Identifier: BSD-3-Clause */
/* Loading a plugin; see plugin.h. */
#include "core/device/plugin.h"

#include "core/base/fd.h"
#include "core/device/note.h"

#include <assert.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define VERSION_MAX 63

/* Opens the file and checks everything that can be known without running its code. The fd, or -errno. */
static int open_checked(const char *path, struct bp_note_desc *ret_note, struct err *err)
{
	FD_AUTO int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	int r;

	if (fd < 0)
		return err_sys(err, -errno, "cannot open plugin \"%s\"", path);
	if (fstat(fd, &st) < 0)
		return err_sys(err, -errno, "plugin \"%s\"", path);
	if (!S_ISREG(st.st_mode))
		return err_set(err, -ENOEXEC, "plugin \"%s\" is not a regular file", path);
	if (st.st_mode & S_IWOTH)
		return err_set(err, -EPERM,
			       "plugin \"%s\" is writable by everybody: `chmod o-w` it if it can be trusted", path);
	r = note_read(fd, path, ret_note, err);
	if (r < 0)
		return r;
	return fd_take(&fd);
}

/* dlerror() begins with the path, which our message has too. */
static const char *load_error(const char *path)
{
	const char *text = dlerror();
	size_t length = strlen(path);

	if (!text)
		return "unknown error";
	if (!strncmp(text, path, length) && !strncmp(text + length, ": ", 2))
		return text + length + 2;
	return text;
}

static int copy_descriptor(const struct bp_plugin *entry, const struct bp_note_desc *note, struct plugin *plugin,
			   struct err *err)
{
	struct bp_plugin copy = { 0 };
	uint32_t bytes = entry->size;

	if (bytes < sizeof(copy))
		return err_set(err, -EINVAL, "its descriptor has %" PRIu32 " bytes, which is too small", bytes);
	memcpy(&copy, entry, sizeof(copy));
	if (copy.abi_major != note->abi_major || copy.abi_minor != note->abi_minor)
		return err_set(err, -EINVAL, "its descriptor and its note name different ABI versions");
	if (!copy.id || strncmp(copy.id, note->id, sizeof(note->id)) != 0)
		return err_set(err, -EINVAL, "its descriptor and its note name different ids");
	plugin->version = class_copy_text(copy.version, VERSION_MAX);
	if (!plugin->version)
		return err_set(err, -EINVAL, "it has no usable version");
	if (!copy.classes || !copy.class_count || copy.class_count > PLUGIN_CLASSES_MAX)
		return err_set(err, -EINVAL, "it has %" PRIu32 " classes; 1 to %d are possible", copy.class_count,
			       PLUGIN_CLASSES_MAX);
	plugin->id = strdup(note->id);
	plugin->abi_minor = note->abi_minor;
	plugin->classes = calloc(copy.class_count, sizeof(plugin->classes[0]));
	if (!plugin->id || !plugin->classes)
		return err_sys(err, -ENOMEM, "it cannot be loaded");
	for (uint32_t i = 0; i < copy.class_count; i++) {
		int r;

		if (!copy.classes[i])
			return err_set(err, -EINVAL, "its class %" PRIu32 " is NULL", i);
		r = class_copy(copy.classes[i], &plugin->classes[i], err);
		if (r < 0)
			return r;
		plugin->class_count++;
		for (uint32_t j = 0; j < i; j++)
			if (!strcmp(plugin->classes[j].decl.name, plugin->classes[i].decl.name))
				return err_set(err, -EINVAL, "it has two classes \"%s\"", plugin->classes[i].decl.name);
	}
	return 0;
}

int plugin_copy(const struct bp_plugin *entry, const struct bp_note_desc *note, struct plugin **ret, struct err *err)
{
	struct plugin *plugin = calloc(1, sizeof(*plugin));
	int r;

	if (!plugin)
		return err_sys(err, -ENOMEM, "it cannot be loaded");
	r = copy_descriptor(entry, note, plugin, err);
	if (r < 0)
		plugin_free(plugin);
	else
		*ret = plugin;
	return r;
}

int plugin_examine(const char *path, char **ret_real, struct bp_note_desc *ret_note, struct err *err)
{
	FREE_AUTO char *real = realpath(path, NULL);
	int r;

	if (!real)
		return err_sys(err, -errno, "cannot open plugin \"%s\"", path);
	r = open_checked(real, ret_note, err);
	if (r < 0)
		return r;
	close(r);
	*ret_real = take(&real);
	return 0;
}

int plugin_load(const char *path, struct plugin **ret, struct err *err)
{
	FREE_AUTO char *real = NULL;
	struct plugin *plugin = NULL;
	struct bp_note_desc note = { 0 };
	const struct bp_plugin *entry;
	void *handle;
	int r;

	r = plugin_examine(path, &real, &note, err);
	if (r < 0)
		return r;
	assert(real);
	/* By its real path, so that debuggers and profilers find its symbols. */
	handle = dlopen(real, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
	if (!handle)
		return err_set(err, -ENOEXEC, "cannot load plugin \"%s\": %s", path, load_error(real));
	entry = dlsym(handle, BP_ENTRY);
	if (!entry)
		return err_set(err, -ENOEXEC, "plugin \"%s\" does not export " BP_ENTRY, path);
	r = plugin_copy(entry, &note, &plugin, err);
	if (r < 0) {
		err_prefix(err, "plugin \"%s\" is malformed: ", path);
		return r;
	}
	assert(plugin);
	plugin->path = take(&real);
	*ret = plugin;
	return 0;
}

void plugin_free(struct plugin *plugin)
{
	if (!plugin)
		return;
	for (size_t i = 0; i < plugin->class_count; i++)
		class_free(&plugin->classes[i]);
	free(plugin->classes);
	free(plugin->path);
	free(plugin->id);
	free(plugin->version);
	free(plugin);
}

const struct plugin_class *plugin_find_class(const struct plugin *plugin, const char *name)
{
	for (size_t i = 0; i < plugin->class_count; i++)
		if (!name || !strcmp(plugin->classes[i].decl.name, name))
			return &plugin->classes[i];
	return NULL;
}
