/*
 * SPDX-License-Identifier: GPL-2.0-only
 *
 * A module for Asterisk: puts Retry-After (RFC 3261, section 20.33) on the answer to an INVITE.
 *
 * The dialplan sets the channel variable TRUNKLINE_RETRY_AFTER to a number of seconds just before it refuses a
 * call; Asterisk has no other way to add a header to a final answer. This file is linked with Asterisk when a
 * box is set up, and so it is under Asterisk's licence; nothing else of this repository is linked with it.
 */

#include "asterisk.h"

#include "asterisk/res_pjsip.h"
#include "asterisk/res_pjsip_session.h"
#include "asterisk/channel.h"
#include "asterisk/module.h"
#include "asterisk/pbx.h"

static const char VARIABLE[] = "TRUNKLINE_RETRY_AFTER";

static void outgoing_response(struct ast_sip_session *session, struct pjsip_tx_data *tdata)
{
	unsigned int seconds;
	char digits[16];
	const char *value;

	if (!session->channel) {
		return;
	}
	ast_channel_lock(session->channel);
	value = pbx_builtin_getvar_helper(session->channel, VARIABLE);
	/* Read as a number, so that a variable can never become another header. */
	if (!value || sscanf(value, "%9u", &seconds) != 1) {
		ast_channel_unlock(session->channel);
		return;
	}
	ast_channel_unlock(session->channel);
	snprintf(digits, sizeof(digits), "%u", seconds);
	ast_sip_add_header(tdata, "Retry-After", digits);
}

static struct ast_sip_session_supplement supplement = {
	.method = "INVITE",
	/* Before the channel is taken from the session. */
	.priority = AST_SIP_SUPPLEMENT_PRIORITY_CHANNEL - 1000,
	.outgoing_response = outgoing_response,
};

static int load_module(void)
{
	ast_sip_session_register_supplement(&supplement);
	return AST_MODULE_LOAD_SUCCESS;
}

static int unload_module(void)
{
	ast_sip_session_unregister_supplement(&supplement);
	return 0;
}

AST_MODULE_INFO(ASTERISK_GPL_KEY, AST_MODFLAG_LOAD_ORDER, "Retry-After on refused calls",
	.support_level = AST_MODULE_SUPPORT_EXTENDED,
	.load = load_module,
	.unload = unload_module,
	.load_pri = AST_MODPRI_APP_DEPEND,
	.requires = "res_pjsip,res_pjsip_session",
);
