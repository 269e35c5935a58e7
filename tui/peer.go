// SPDX-License-Identifier: Apache-2.0

package tui

import "h2sniff/decode/store"

// otherEnd goes to the connection that is the other end of the one in view, of
// the one under the cursor in the list, or of the frame's.
func (m *Model) otherEnd() {
	id := m.view.Conn
	if e := m.frames.selected(); id == 0 && m.focus >= paneFrames && e != nil {
		id = e.Conn
	}
	if c := m.conns.selected(); id == 0 && c != nil {
		id = c.ID
	}
	if id == 0 {
		m.say("no connection yet", false)
		return
	}
	c, ok := m.conn(id)
	if !ok || c.Peer == 0 {
		m.say("the other end of "+id.String()+" is not captured", false)
		return
	}
	if _, ok := m.conn(c.Peer); !ok {
		m.say(c.Peer.String()+", the other end, has left the history", false)
		return
	}
	m.narrow(store.View{Conn: c.Peer}, m.focus)
	m.say(c.Peer.String()+" is the other end of "+id.String(), false)
}
