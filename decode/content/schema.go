// SPDX-License-Identifier: Apache-2.0

package content

import (
	"fmt"
	"os"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
)

// Schema gives messages and fields their names. The nil Schema knows none.
type Schema struct {
	files *protoregistry.Files
	// extensions by the full name of the message and the field number.
	extensions map[protoreflect.FullName]map[protoreflect.FieldNumber]protoreflect.ExtensionDescriptor
}

// maxSchema is the largest descriptor set that is read, octets.
const maxSchema = 64 << 20

// OpenSchema reads a descriptor set from a file, as made by
// `protoc --include_imports --descriptor_set_out=FILE ...` or `buf build -o FILE`.
func OpenSchema(path string) (*Schema, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxSchema {
		return nil, fmt.Errorf("%s is too large for a descriptor set (%d bytes)", path, info.Size())
	}
	set, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	s, err := ParseSchema(set)
	if err != nil {
		return nil, fmt.Errorf("%s is not a descriptor set as `protoc --include_imports --descriptor_set_out=FILE` makes it: %w", path, err)
	}
	return s, nil
}

// ParseSchema reads a serialized google.protobuf.FileDescriptorSet.
func ParseSchema(set []byte) (*Schema, error) {
	var fds descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(set, &fds); err != nil {
		return nil, err
	}
	if len(fds.File) == 0 {
		return nil, fmt.Errorf("no file in it")
	}
	// Imports that are not in the set leave their messages without names.
	files, err := protodesc.FileOptions{AllowUnresolvable: true}.NewFiles(&fds)
	if err != nil {
		return nil, err
	}
	s := &Schema{files: files, extensions: make(map[protoreflect.FullName]map[protoreflect.FieldNumber]protoreflect.ExtensionDescriptor)}
	files.RangeFiles(func(f protoreflect.FileDescriptor) bool {
		s.addExtensions(f.Extensions())
		s.addNested(f.Messages())
		return true
	})
	return s, nil
}

func (s *Schema) addNested(list protoreflect.MessageDescriptors) {
	for i := range list.Len() {
		s.addExtensions(list.Get(i).Extensions())
		s.addNested(list.Get(i).Messages())
	}
}

func (s *Schema) addExtensions(list protoreflect.ExtensionDescriptors) {
	for i := range list.Len() {
		x := list.Get(i)
		name := x.ContainingMessage().FullName()
		if s.extensions[name] == nil {
			s.extensions[name] = make(map[protoreflect.FieldNumber]protoreflect.ExtensionDescriptor)
		}
		s.extensions[name][x.Number()] = x
	}
}

// method gives the type of the messages that a method takes, or returns; nil
// where the schema does not have it. path is /package.Service/Method.
func (s *Schema) method(path string, returns bool) protoreflect.MessageDescriptor {
	if s == nil {
		return nil
	}
	service, method, ok := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if !ok {
		return nil
	}
	d, err := s.files.FindDescriptorByName(protoreflect.FullName(service))
	if err != nil {
		return nil
	}
	sd, ok := d.(protoreflect.ServiceDescriptor)
	if !ok {
		return nil
	}
	md := sd.Methods().ByName(protoreflect.Name(method))
	switch {
	case md == nil:
		return nil
	case returns:
		return named(md.Output())
	}
	return named(md.Input())
}

// message gives a message type by its full name, or nil.
func (s *Schema) message(name string) protoreflect.MessageDescriptor {
	if s == nil {
		return nil
	}
	d, err := s.files.FindDescriptorByName(protoreflect.FullName(name))
	if err != nil {
		return nil
	}
	md, _ := d.(protoreflect.MessageDescriptor)
	return md
}

// field gives a field of a message type, or nil.
func (s *Schema) field(m protoreflect.MessageDescriptor, number protoreflect.FieldNumber) protoreflect.FieldDescriptor {
	if m == nil {
		return nil
	}
	if f := m.Fields().ByNumber(number); f != nil {
		return f
	}
	if x, ok := s.extensions[m.FullName()][number]; ok {
		return x
	}
	return nil
}

// named leaves out types of which the set has only the name.
func named(m protoreflect.MessageDescriptor) protoreflect.MessageDescriptor {
	if m == nil || m.IsPlaceholder() {
		return nil
	}
	return m
}
