// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"net/netip"
	"slices"
	"sort"
	"strconv"
	"strings"

	"h2sniff/capture"
	"h2sniff/decode"
	"h2sniff/decode/store"
)

// connPane lists the connections, in the order in which they were first seen.
type connPane struct {
	list
	conns []store.ConnSummary // those of the window
	view  store.View          // that the cursor was put on the connection of
	// anchor and place are a connection and where in the list it was: closed
	// connections leave, and the cursor stays with its own.
	anchor capture.ConnID
	place  int
	// by is the column that the list is sorted by, order the list as it was
	// when the store had generation sortedAt.
	by       int
	order    []capture.ConnID
	sortedAt uint64
	kept     keptConns
	rates    connRates
	growth   growth
}

const (
	connID = iota
	connProcess
	connRole
	connLocal
	connRemote
	connProtocol
	connStreams
	connFrames
	connRate
	connMarks
)

// Cells of the id while there are few connections, and of the process then and
// at the least.
const minID, fullProcess, minProcess = 3, 11, 8

func newConnPane() *connPane {
	p := &connPane{by: unsorted}
	p.cols = []column{
		connID:       {title: "id", min: minID, want: 6, right: true},
		connProcess:  {title: "process", min: fullProcess, want: 23, drop: 3},
		connRole:     {title: "role", min: 6, drop: 9},
		connLocal:    {title: "local", min: 14, want: 22, drop: 8},
		connRemote:   {title: "remote", min: 15, want: 22, flex: true},
		connProtocol: {title: "proto", min: 8, want: 9, drop: 6},
		connStreams:  {title: "str", min: 4, right: true, drop: 7},
		connFrames:   {title: "fr", min: 4, right: true, drop: 5},
		connRate:     {title: "fr/s", min: 4, want: 5, right: true, drop: 4},
		connMarks:    {title: "!", min: 3, want: 9, drop: 2},
	}
	p.none = []string{"none yet"}
	return p
}

func (p *connPane) name() string { return "Connections" }

func (p *connPane) info(*Model) string {
	text := commas(p.end)
	if all := uint64(p.kept.all); all > p.end {
		text += " of " + commas(all)
	}
	if p.by != unsorted {
		text += " by " + p.cols[p.by].label()
	}
	return text
}

func (p *connPane) refresh(m *Model) {
	if m.paused && p.unmoved(m, int(p.cursor)-p.place) {
		return
	}
	p.settlePlaces(m)
	from, n := p.window()
	key := pageKey{from: from, n: n, generation: m.shown.Generation, view: m.view}
	if key != p.page {
		p.page, p.from = key, from
		p.fetch(m, int(from), n)
		p.measure()
		p.rows = p.rows[:0]
		for i := range p.conns {
			p.rows = append(p.rows, p.row(m, &p.conns[i]))
		}
	}
	if c := p.selected(); c != nil {
		p.anchor, p.place = c.ID, int(p.cursor)
	}
}

// measure gives the columns what the connections of the window need.
func (p *connPane) measure() {
	for i := range p.conns {
		c := &p.conns[i]
		local, remote := addresses(c)
		p.whole(connID, width(connName(c)))
		p.content(connProcess, width(process(&c.Info, p.cols[connProcess].want)))
		p.content(connLocal, width(local))
		p.content(connRemote, width(remote))
		p.content(connMarks, width(marks(c)))
	}
	// Long ids take their cells from the process before a column is dropped.
	p.cols[connProcess].min = max(minProcess, fullProcess-(p.cols[connID].min-minID))
	p.fit()
}

// settlePlaces takes the bounds of the list as it is now.
func (p *connPane) settlePlaces(m *Model) {
	n := p.number(m)
	if p.by != unsorted {
		p.resort(m)
		n = len(p.order)
	}
	if p.anchor != 0 && !p.follow {
		now := p.placeOf(m, n, p.anchor)
		if p.by != unsorted {
			p.moved(now - p.place)
		} else {
			p.shift(now - p.place)
		}
		p.place = now
	}
	if m.view.Conn != p.view.Conn && m.view.Conn != 0 {
		p.follow = false
		p.cursor = uint64(p.placeOf(m, n, m.view.Conn))
	}
	p.view = m.view
	p.bounds(0, uint64(n))
}

// pointAt puts the cursor on a connection.
func (p *connPane) pointAt(m *Model, id capture.ConnID) {
	p.follow = false
	i := slices.IndexFunc(p.conns, func(c store.ConnSummary) bool { return c.ID == id })
	if p.cursor = p.from + uint64(i); i < 0 {
		p.cursor = uint64(p.placeOf(m, int(p.end), id))
	}
	p.anchor, p.place = id, int(p.cursor)
	p.settle()
}

// find is the place of the first connection from id on.
func (p *connPane) find(m *Model, n int, id capture.ConnID) int {
	return sort.Search(n, func(i int) bool {
		c := p.listed(m, i, 1)
		return len(c) == 0 || c[0].ID >= id
	})
}

// selected is the connection under the cursor; nil where there is none.
func (p *connPane) selected() *store.ConnSummary {
	if i := p.cursor - p.from; p.cursor >= p.from && i < uint64(len(p.conns)) {
		return &p.conns[i]
	}
	return nil
}

func (p *connPane) row(m *Model, c *store.ConnSummary) row {
	s := m.sty
	local, remote := addresses(c)
	r := row{faded: c.Closed != 0, mark: c.ID == m.view.Conn, cells: []cell{
		connID:       {text: connName(c)},
		connProcess:  {text: process(&c.Info, p.columnWidth(connProcess))},
		connRole:     {text: role(c.Role)},
		connLocal:    {text: keepEnd(local, p.columnWidth(connLocal))},
		connRemote:   {text: keepEnd(remote, p.columnWidth(connRemote))},
		connProtocol: {text: c.Protocol.String()},
		connStreams:  {text: compact(uint64(c.Streams))},
		connFrames:   {text: compact(c.Frames)},
		connRate:     {text: p.rates.text(c.ID)},
		connMarks:    {text: marksWithin(c, p.columnWidth(connMarks)), style: s.warn},
	}}
	if c.Protocol == decode.HTTP2 {
		r.cells[connProtocol].style = s.headers
	}
	if c.Errors+c.Findings.Errors > 0 {
		r.cells[connMarks].style = s.bad
	}
	if c.Protocol != decode.HTTP2 && p.columnWidth(connProtocol) == 0 {
		p.tellProtocol(&r, c)
	}
	return r
}

// connName is the id of a connection; a ○ says, without colours too, that it
// was closed.
func connName(c *store.ConnSummary) string {
	if c.Closed != 0 {
		return "○" + c.ID.String()
	}
	return c.ID.String()
}

// tellProtocol says why a connection has no frames where the column that would
// say so has no room.
func (p *connPane) tellProtocol(r *row, c *store.ConnSummary) {
	tell := func(i int, before, after string) {
		if after != "" {
			before += " " + after
		}
		r.cells[i] = cell{text: before}
		r.span = i
	}
	_, remote := addresses(c)
	for _, i := range [...]int{connFrames, connRate} {
		if p.columnWidth(i) > 0 {
			tell(i, c.Protocol.String(), marks(c))
			return
		}
	}
	tell(connRemote, c.Protocol.String(), remote)
}

// chosen is the connection whose streams are listed: the one that the panes
// are narrowed to, or else the one under the cursor.
func (p *connPane) chosen(m *Model) (capture.ConnID, bool) {
	if m.view.Conn != 0 {
		return m.view.Conn, true
	}
	if c := p.selected(); c != nil {
		return c.ID, true
	}
	return 0, false
}

func (p *connPane) open(m *Model) {
	if c := p.selected(); c != nil {
		p.follow = false
		m.narrow(store.View{Conn: c.ID}, paneStreams)
	}
}

// process names the process of a connection: nginx/1234. Captured packets
// belong to none.
func process(i *capture.ConnInfo, w int) string {
	if i.PID == 0 && i.Comm == "" {
		return "-"
	}
	pid := "/" + strconv.FormatUint(uint64(i.PID), 10)
	comm := peer(i.Comm, w)
	if n := w - len(pid); n > 0 {
		comm = keepEnds(comm, n)
	}
	return comm + pid
}

func role(r capture.Role) string {
	if r == capture.RoleUnknown {
		return "?"
	}
	return r.String()
}

// addresses are the two ends of a connection; a ~ says that they are inferred.
func addresses(c *store.ConnSummary) (local, remote string) {
	return address(c.Local, c.Evidence), address(c.Remote, c.Evidence)
}

func address(a netip.AddrPort, e capture.Evidence) string {
	if !a.IsValid() || e == capture.Withdrawn {
		return "unknown"
	}
	a = netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
	if e == capture.Inferred {
		return "~" + visibleZone(a)
	}
	return visibleZone(a)
}

// visibleZone writes an address; its zone is the only part that is free text.
func visibleZone(a netip.AddrPort) string {
	if a.Addr().Zone() == "" {
		return a.String()
	}
	return peer(a.String(), 80)
}

// keepEnds cuts a name in its middle, since names of one family begin, or end,
// alike.
func keepEnds(s string, w int) string {
	if width(s) <= w {
		return s
	}
	if w < 5 || !printable(s) {
		cut, _ := appendCut(nil, s, w)
		return string(cut)
	}
	end := (w - 1) / 2
	return s[:w-1-end] + ellipsis + s[len(s)-end:]
}

// keepEnd cuts an address at its beginning, since ports tell most; that it is
// inferred stays in sight.
func keepEnd(s string, w int) string {
	if w <= 1 || len(s) <= w || !printable(s) {
		return s
	}
	if s[0] == '~' {
		return "~" + keepEnd(s[1:], w-1)
	}
	return ellipsis + s[len(s)-w+1:]
}

// marksWithin are marks in w cells, without a number rather than with a part of it.
func marksWithin(c *store.ConnSummary, w int) string {
	s := marks(c)
	if width(s) <= w {
		return s
	}
	first, _, more := strings.Cut(s, " ")
	switch n := width(first); {
	case more && n < w:
		return first + "⋯" // and gaps
	case n <= w:
		return first
	}
	return string([]rune(first)[:1]) + ellipsis
}

// marks are the troubles of a connection: that its window is used up, what is wrong
// in it, and gaps in what was seen.
func marks(c *store.ConnSummary) string {
	var all []string
	if c.NoWindow != [2]int64{} {
		all = append(all, waterSigns[waterBlocked])
	}
	if n := problems(c.Errors, c.Findings); n > 0 {
		all = append(all, "!"+compact(n))
	}
	if c.Gaps > 0 {
		all = append(all, "⋯"+compact(c.Gaps))
	}
	return strings.Join(all, " ")
}
