/* GET /connections/ID/frames: what one WebSocket's peers send, live, a line of JSON for each frame (proxy/ws_mirror).
 *
 * Only where admin.mirror says so, and logged: payloads are the users'.
 * Called by: control/admin_commands. */
#ifndef CONTROL_ADMIN_MIRROR_H
#define CONTROL_ADMIN_MIRROR_H

struct admin_client;

void admin_mirror(struct admin_client *c);

#endif
