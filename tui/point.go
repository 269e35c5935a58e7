// SPDX-License-Identifier: Apache-2.0

package tui

// pointAtFrame puts the connections and the streams on those of the row under
// the cursor of the frames, once for each row, while the frames or the detail
// have the keys and no connection is chosen.
func (m *Model) pointAtFrame() {
	if m.focus != paneFrames && m.focus != paneDetail || m.view.Conn != 0 {
		m.pointed = 0
		return
	}
	e := m.frames.selected()
	if e == nil || e.Seq == m.pointed {
		return
	}
	m.pointed = e.Seq
	m.conns.follow = false
	if c := m.conns.selected(); c == nil || c.ID != e.Conn {
		if _, ok := m.conn(e.Conn); !ok {
			return
		}
		m.conns.pointAt(m, e.Conn)
		m.conns.refresh(m)
		m.strms.refresh(m)
	}
	if m.strms.conn != e.Conn {
		m.pointed = 0 // the connections are not in their new order yet
		return
	}
	if !hasStream(e) || e.Header.StreamID == 0 {
		return
	}
	m.strms.follow = false
	if t := m.strms.selected(); t != nil && t.ID == e.Header.StreamID {
		return
	}
	t, ok := m.strms.listedStream(m, e.Header.StreamID)
	if !ok {
		m.strms.nowhere = true
		return
	}
	m.strms.pointAt(m, &t)
	m.strms.refresh(m)
}
