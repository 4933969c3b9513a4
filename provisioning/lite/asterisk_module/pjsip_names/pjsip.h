/*
 * SPDX-License-Identifier: GPL-2.0-only
 *
 * Just enough of PJSIP's names for Asterisk's headers to be read: Debian packages none of PJSIP's own headers.
 * The module uses nothing of them but pointers; what Asterisk's structures hold of them by value comes after the
 * fields that the module reads. Should that change, the test of the 503 on the wire fails.
 */
#ifndef TRUNKLINE_PJSIP_NAMES_H
#define TRUNKLINE_PJSIP_NAMES_H

#define OPAQUE(name) typedef struct name { long opaque[8]; } name

typedef int pj_bool_t, pj_status_t;
typedef struct pj_str_t { const char *ptr; long length; } pj_str_t;
enum { PJSIP_AUTH_ALGORITHM_COUNT = 16 };

OPAQUE(pj_pool_t);
OPAQUE(pj_sockaddr);
OPAQUE(pj_ssl_cipher);
OPAQUE(pj_timer_entry);
OPAQUE(pjmedia_sdp_session);
OPAQUE(pjsip_auth_algorithm);
OPAQUE(pjsip_auth_algorithm_type);
OPAQUE(pjsip_dialog);
OPAQUE(pjsip_endpoint);
OPAQUE(pjsip_event);
OPAQUE(pjsip_fromto_hdr);
OPAQUE(pjsip_generic_string_hdr);
OPAQUE(pjsip_inv_session);
OPAQUE(pjsip_inv_state);
OPAQUE(pjsip_media_type);
OPAQUE(pjsip_module);
OPAQUE(pjsip_msg);
OPAQUE(pjsip_response_addr);
OPAQUE(pjsip_rx_data);
OPAQUE(pjsip_sip_uri);
OPAQUE(pjsip_tls_setting);
OPAQUE(pjsip_tp_state_callback);
OPAQUE(pjsip_tpfactory);
OPAQUE(pjsip_tpselector);
OPAQUE(pjsip_transport);
OPAQUE(pjsip_tx_data);
OPAQUE(pjsip_uri);

#endif
