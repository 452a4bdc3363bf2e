/* SPDX-License-Identifier: Apache-2.0 */
/* The TUN interface: made, configured, taken over. Every failure has a sentence that says what to do. */
#define LOG_MODULE "tun"
#include "controld/kernel/tun.h"

#include "shared/base/log.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Newer than some headers we are built with. */
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif
#ifndef IFF_TUN_EXCL
#define IFF_TUN_EXCL 0x8000
#endif

enum { TX_QUEUE_LEN = 1000, ERROR_BYTES = 256 };

_Static_assert(sizeof(((struct tun *)0)->name) == IFNAMSIZ, "an interface's name");

static const char device[] = "/dev/net/tun";

static int say_device(int code, char error[ERROR_BYTES])
{
	if (code == -ENOENT || code == -ENODEV || code == -ENXIO)
		snprintf(error, ERROR_BYTES,
			 "%s is not there: load the kernel module (modprobe tun), or give the container that "
			 "device, or use --no-tun",
			 device);
	else if (code == -EACCES || code == -EPERM)
		snprintf(error, ERROR_BYTES,
			 "%s may not be opened: start as root or with CAP_NET_ADMIN, or use --no-tun", device);
	else
		snprintf(error, ERROR_BYTES, "%s cannot be opened: %s", device, strerror(-code));
	return code;
}

static int say_name(int code, const char *name, char error[ERROR_BYTES])
{
	if (code == -EBUSY || code == -EEXIST)
		snprintf(error, ERROR_BYTES,
			 "an interface %s exists already: choose another name with --tun-name, or end the "
			 "program that it belongs to",
			 name);
	else if (code == -EPERM || code == -EACCES)
		snprintf(error, ERROR_BYTES,
			 "an interface may not be made: start as root or with CAP_NET_ADMIN, or use --no-tun");
	else if (code == -EINVAL)
		snprintf(error, ERROR_BYTES,
			 "the kernel refuses a TUN interface with the name %s: choose another with --tun-name", name);
	else
		snprintf(error, ERROR_BYTES, "the TUN interface %s cannot be made: %s", name, strerror(-code));
	return code;
}

static int say_configure(int code, const char *what, const char *name, char error[ERROR_BYTES])
{
	if (code == -EACCES || code == -EAFNOSUPPORT || code == -EOPNOTSUPP)
		snprintf(error, ERROR_BYTES,
			 "IPv6 is disabled for %s: allow it for new interfaces (sysctl -w "
			 "net.ipv6.conf.default.disable_ipv6=0) and start again",
			 name);
	else
		snprintf(error, ERROR_BYTES, "the %s of %s cannot be set: %s", what, name, strerror(-code));
	return code;
}

/* One queue; the first makes the interface, and only if there is none of that name. t->name becomes the kernel's. */
static int queue_open(struct tun *t, const char *name, char error[ERROR_BYTES])
{
	const bool first = t->queues == 0;
	struct ifreq request = {.ifr_name = ""};
	int fd, code;

	if (strlen(name) >= sizeof(request.ifr_name)) {
		snprintf(error, ERROR_BYTES, "the interface name %s is longer than %zu characters", name,
			 sizeof(request.ifr_name) - 1);
		return -ENAMETOOLONG;
	}
	fd = open(device, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return say_device(-errno, error);
	request.ifr_flags = (short)(IFF_TUN | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE | (first ? IFF_TUN_EXCL : 0));
	memcpy(request.ifr_name, name, strlen(name));
	if (ioctl(fd, TUNSETIFF, &request) < 0) {
		code = say_name(-errno, name, error);
		close(fd);
		return code;
	}
	memcpy(t->name, request.ifr_name, sizeof(t->name));
	t->fd[t->queues++] = fd;
	return 0;
}

/* Of the interface, whichever queue it is set by. Kernels before 6.2 know no USO and refuse the whole then. */
static int set_offload(struct tun *t, bool offload, char error[ERROR_BYTES])
{
	const unsigned long tso = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6, uso = TUN_F_USO4 | TUN_F_USO6;
	int code;

	t->uso = false;
	if (offload && ioctl(t->fd[0], TUNSETOFFLOAD, tso | uso) == 0) {
		t->uso = true;
		return 0;
	}
	if (ioctl(t->fd[0], TUNSETOFFLOAD, offload ? tso : 0) == 0)
		return 0;
	code = -errno;
	snprintf(error, ERROR_BYTES, "the offloads of %s cannot be set: %s (try --no-offload)", t->name,
		 strerror(-code));
	return code;
}

static int configure(struct tun *t, struct rtnl *r, const struct tun_config *c, char error[ERROR_BYTES])
{
	int code = rtnl_addrgen_none(r, t->ifindex);

	if (code < 0)
		return say_configure(code, "address mode", t->name, error);
	code = rtnl_link_up(r, t->ifindex, c->mtu, TX_QUEUE_LEN);
	if (code < 0)
		return say_configure(code, "MTU", t->name, error);
	code = rtnl_address_add(r, t->ifindex, &c->address, c->overlay.len);
	return code < 0 ? say_configure(code, "address", t->name, error) : 0;
}

/* 200::/7 leads into one interface: two overlays on one host would take each other's packets. */
static int refuse_second_overlay(struct rtnl *r, const struct tun_config *c, char error[ERROR_BYTES])
{
	char prefix[PREFIX_TEXT_BYTES], name[IFNAMSIZ];
	const int code = rtnl_find_route(r, &c->overlay, 0, name);

	if (code < 0)
		snprintf(error, ERROR_BYTES, "the routes of this host cannot be read: %s", strerror(-code));
	if (code <= 0)
		return code;
	snprintf(error, ERROR_BYTES,
		 "a route into %s leads to the interface %s already: another node or another overlay "
		 "runs here; end it, or use --no-tun for this one",
		 prefix_print(&c->overlay, prefix), name);
	return -EEXIST;
}

static int open_all(struct tun *t, struct rtnl *r, const struct tun_config *c, char error[ERROR_BYTES])
{
	int code = refuse_second_overlay(r, c, error);

	for (unsigned i = 0; code == 0 && i < c->queues; i++)
		code = queue_open(t, i == 0 ? c->name : t->name, error);
	if (code == 0)
		code = set_offload(t, c->offload, error);
	if (code < 0)
		return code;
	t->ifindex = if_nametoindex(t->name);
	return configure(t, r, c, error);
}

int tun_open(struct tun *t, struct rtnl *r, const struct tun_config *c, char error[256])
{
	int code;

	*t = (struct tun){.queues = 0};
	for (int i = 0; i < LIMIT_WORKERS; i++)
		t->fd[i] = -1;
	error[0] = '\0';
	code = open_all(t, r, c, error);
	if (code < 0)
		tun_close(t);
	return code;
}

/* Kernels before 6.2 rename only what is down; bring_in_line() sets it up and gives it its address again. */
static int rename_to(struct rtnl *r, unsigned ifindex, const char *name)
{
	int code = rtnl_link_rename(r, ifindex, name);

	if (code != -EBUSY)
		return code;
	code = rtnl_link_down(r, ifindex);
	return code < 0 ? code : rtnl_link_rename(r, ifindex, name);
}

/* The interface may have got another name, by the user or by configuration. */
static int find_again(struct tun *t, struct rtnl *r, const struct tun_config *c, char error[ERROR_BYTES])
{
	struct ifreq request = {.ifr_name = ""};
	int code;

	if (t->queues == 0 || ioctl(t->fd[0], TUNGETIFF, &request) < 0) {
		code = t->queues == 0 ? -ENOENT : -errno;
		snprintf(error, ERROR_BYTES, "the TUN interface of the running node cannot be taken over: %s",
			 strerror(-code));
		return code;
	}
	memcpy(t->name, request.ifr_name, sizeof(t->name));
	t->ifindex = if_nametoindex(t->name);
	if (strcmp(t->name, c->name) == 0 || strchr(c->name, '%'))
		return 0;
	code = rename_to(r, t->ifindex, c->name);
	if (code < 0) {
		log_warn("the running node's interface %s keeps its name until the next full start: it cannot become "
			 "%s: %s",
			 t->name, c->name, strerror(-code));
		return 0;
	}
	log_info("interface renamed from %s to %s", t->name, c->name);
	snprintf(t->name, sizeof(t->name), "%s", c->name);
	return 0;
}

static int bring_in_line(struct tun *t, struct rtnl *r, const struct tun_config *c, char error[ERROR_BYTES])
{
	struct rtnl_link link;
	char address[IP6_TEXT_BYTES];
	int code = rtnl_link_get(r, t->ifindex, &link), has;

	if (code < 0)
		return say_configure(code, "state", t->name, error);
	if (link.mtu != c->mtu)
		log_info("MTU of %s changed from %u to %u", t->name, link.mtu, c->mtu);
	if (!link.up)
		log_info("interface %s set up again", t->name);
	has = rtnl_address_has(r, t->ifindex, &c->address, c->overlay.len);
	if (has < 0)
		return say_configure(has, "address", t->name, error);
	if (!has)
		log_info("address %s/%u given to %s again", ip6_print(&c->address, address), c->overlay.len, t->name);
	return configure(t, r, c, error);
}

int tun_adopt(struct tun *t, struct rtnl *r, const struct tun_config *c, char error[256])
{
	int code;

	error[0] = '\0';
	code = find_again(t, r, c, error);
	if (code == 0)
		code = set_offload(t, c->offload, error);
	if (code == 0)
		code = bring_in_line(t, r, c, error);
	if (code < 0)
		tun_close(t);
	return code;
}

void tun_close(struct tun *t)
{
	for (unsigned i = 0; i < t->queues; i++) {
		close(t->fd[i]);
		t->fd[i] = -1;
	}
	t->queues = 0;
}
