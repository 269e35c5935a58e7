// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"fmt"
	"strings"

	"h2sniff/decode"
)

// describe describes a part of the frame, in one line.
func (d *details) describe(p *octetPart) string {
	e := d.e
	h := &e.Header
	text := ""
	switch p.name {
	case "length":
		text = commas(uint64(h.Length)) + " octets of payload"
	case "type":
		text = decode.TypeName(h.Type)
	case "flags":
		text = strings.Join(decode.FlagNames(h.Type, h.Flags), " | ")
	case "stream":
		text = itoa(h.StreamID) + " (the reserved bit is not kept)"
	case "setting":
		if pl, _ := decode.ParsePayload(*h, e.Payload); p.n < len(pl.Settings) {
			v := pl.Settings[p.n]
			return decode.SettingName(v.ID) + " = " + itoa(v.Value)
		}
	case "field":
		return d.describeField(p.n)
	case "table size update":
		text = "of the dynamic table"
	}
	if text == "" {
		return p.name
	}
	return p.name + ": " + text
}

// describeField tells of a field line what it is and how it is represented.
func (d *details) describeField(n int) string {
	fields := d.block.fields
	if n >= len(fields) {
		return "field"
	}
	f := &fields[n]
	value, _ := d.fieldValue(f)
	return fieldName(f, 40) + ": " + clipCells(value, 60) + "  (" + representation(f.Encoding) + ")"
}

// representation says how a field line was represented, in words.
func representation(e decode.Encoding) string {
	text := e.Form().String()
	if i := e.Index(); i != 0 {
		table := "dynamic"
		if e.Static() {
			table = "static"
		}
		what := "name "
		if e.Form() == decode.FormIndexed {
			what = ""
		}
		text += fmt.Sprintf(", %s%s %d", what, table, i)
	}
	switch {
	case e.NameHuffman() && e.ValueHuffman():
		text += ", Huffman"
	case e.ValueHuffman():
		text += ", value Huffman"
	case e.NameHuffman():
		text += ", name Huffman"
	}
	return text
}

// clipCells cuts a safe text to w cells.
func clipCells(s string, w int) string {
	cut, _ := appendCut(nil, s, w)
	return string(cut)
}

// octetText describes the octet under the cursor of the hex tab.
func (p *detailPane) octetText(m *Model) string {
	i := p.octet()
	place := fmt.Sprintf("octet %s of %s", commas(uint64(i)), commas(uint64(p.hex.len())))
	n := p.hex.partAt(i)
	if n < 0 {
		return place
	}
	part := &p.hex.parts[n]
	if part.to-part.from > 1 {
		place = fmt.Sprintf("octets %d–%d of %s", part.from, part.to-1, commas(uint64(p.hex.len())))
	}
	d := newDetails(m, &p.entry, p.w, nil)
	d.block = p.block
	return place + "  " + d.describe(part)
}
