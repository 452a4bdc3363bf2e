/* SPDX-License-Identifier: Apache-2.0 */
/* Links as the control thread knows them: enough to tell a new controld about each. The socket is the worker's; slot
 * modulo workers says whose. A link is here from ADOPT until its worker says LINK_DOWN. */
#define LOG_MODULE "links"
#include "fastpath/control_state.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct ctl_link_info *find(const struct control *c, uint32_t link)
{
	struct ctl_link_info *l;

	if (!c->links || !link)
		return NULL;
	l = &c->links[link % LIMIT_LINK_SLOTS];
	return l->adopt.link == link ? l : NULL;
}

unsigned control_links_owner(const struct control *c, uint32_t link)
{
	return link % LIMIT_LINK_SLOTS % c->f.worker_count;
}

bool control_links_has(const struct control *c, uint32_t link)
{
	return find(c, link) != NULL;
}

/* controld counts on a LINK_DOWN for each link that it gave away. */
static void refuse_link(struct control *c, uint32_t link, const char *why)
{
	struct ctl_link_down down = {.link = link, .reason = CTL_DOWN_REFUSED};

	snprintf(down.text, sizeof(down.text), "%s", why);
	control_send(c, CTL_LINK_DOWN, &down, sizeof(down));
	control_refuse(c, why);
}

static const char *adopt_problem(const struct control *c, uint32_t link)
{
	if (!link)
		return "ADOPT: link 0";
	if (c->links[link % LIMIT_LINK_SLOTS].adopt.link)
		return "ADOPT: slot of the link in use";
	return c->link_count >= LIMIT_LINKS ? "ADOPT: link table full" : NULL;
}

void control_links_adopt(struct control *c, const struct ctl_adopt *adopt, int fd)
{
	const char *problem = c->running ? adopt_problem(c, adopt->link) : "ADOPT before START";
	struct {
		struct ctl_adopt adopt;
		int fd;
	} letter = {.adopt = *adopt, .fd = fd};

	if (find(c, adopt->link)) {
		/* Not to be answered by LINK_DOWN: that would end the one that lives. */
		control_refuse(c, "ADOPT of a link that is here");
		close(fd);
		return;
	}
	if (problem) {
		refuse_link(c, adopt->link, problem);
		close(fd);
		return;
	}
	c->links[adopt->link % LIMIT_LINK_SLOTS] = (struct ctl_link_info){
		.adopt = *adopt,
		.up_since_us = (uint64_t)c->now.us,
		.smoothed_cost = UINT32_MAX,
	};
	c->link_count++;
	control_mail_put(c, control_links_owner(c, adopt->link), CTL_ADOPT, &letter,
			 offsetof(typeof(letter), fd) + sizeof(fd));
}

/* Records for a link that has just gone down cross its LINK_DOWN: nothing to complain about. */
void control_links_close(struct control *c, const struct ctl_link_close *close)
{
	struct ctl_link_close copy = *close;

	copy.reason[sizeof(copy.reason) - 1] = '\0';
	if (find(c, copy.link))
		control_mail_put(c, control_links_owner(c, copy.link), CTL_LINK_CLOSE, &copy, sizeof(copy));
}

void control_links_cost(struct control *c, const struct ctl_link_cost *cost)
{
	struct ctl_link_info *l = find(c, cost->link);

	if (l)
		l->smoothed_cost = cost->smoothed_cost;
}

void control_links_tlv(struct control *c, const struct ctl_tlv *tlv, size_t len)
{
	struct rd r = rd_init(tlv + 1, len - sizeof(*tlv));

	rd_u8(&r);
	if (!rd_take(&r, rd_u8(&r)) || rd_left(&r)) {
		control_refuse(c, "TLV: not exactly one");
		return;
	}
	if (find(c, tlv->link))
		control_mail_put(c, control_links_owner(c, tlv->link), CTL_TLV, tlv, len);
}

void control_links_down(struct control *c, const struct ctl_link_down *down)
{
	struct ctl_link_info *l = find(c, down->link);

	if (!l)
		return;
	l->adopt.link = 0;
	c->link_count--;
	log_debug("link down link=%u reason=%u", down->link, down->reason);
}

void control_links_rtt(const struct control *c, const struct ctl_link_rtt *rtt)
{
	struct ctl_link_info *l = find(c, rtt->link);

	if (l)
		l->rtt_us = rtt->rtt_us;
}
