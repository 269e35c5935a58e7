// SPDX-License-Identifier: Apache-2.0

package tui

import "h2sniff/decode/store"

// place is where esc leads back to.
type place struct {
	view   store.View
	filter *query
	focus  paneID
	seq    uint64
	follow bool
}

// maxBack bounds the places remembered.
const maxBack = 64

// narrow narrows the panes to a view; esc leads back.
func (m *Model) narrow(v store.View, focus paneID) {
	if v != m.view {
		m.remember()
		m.view = v
		m.refilter()
	}
	m.focusOn(focus)
}

func (m *Model) remember() {
	p := place{view: m.view, filter: m.filter, focus: m.focus, follow: m.frames.follow}
	if e := m.frames.selected(); e != nil {
		p.seq = e.Seq
	}
	if len(m.back) == maxBack {
		m.back = append(m.back[:0], m.back[1:]...)
	}
	m.back = append(m.back, p)
}

// goBack undoes the last step inwards.
func (m *Model) goBack() {
	switch {
	case m.focus == paneDetail:
		m.focusOn(paneFrames)
	case len(m.back) > 0:
		p := m.back[len(m.back)-1]
		m.back = m.back[:len(m.back)-1]
		here := m.frames.selected()
		unfiltered := m.filter != nil && (p.filter == nil || p.filter.text != m.filter.text)
		m.view = p.view
		if m.filter != p.filter {
			m.filter = p.filter
			m.startFilter()
		}
		if unfiltered && here != nil && here.Seq != p.seq && m.holds(m.frameView(), here.Seq) {
			if p.seq != 0 {
				m.marks[lastPlace] = p.seq
			}
			p.seq, p.follow = here.Seq, p.follow && m.frames.follow
		}
		m.frames.goTo(m, m.frameView(), p.seq, p.follow)
		m.focusOn(p.focus)
	case m.filter != nil:
		m.filter = nil
		m.startFilter()
		m.arrange()
	case m.view != store.View{}:
		m.view = store.View{}
		m.refresh()
	}
}
