//! Lists and mappings, in blocks and in brackets.

use super::{Composer, Composing, Id, Place, RawKind};
use crate::scan::{Fault, Kind, Mark, Token};

impl<'t> Composer<'t, '_> {
    pub(super) fn block_sequence(&mut self) -> Composing<RawKind<'t>> {
        self.take()?;
        let mut items = Vec::new();
        loop {
            let token = self.scanner.peek()?.clone();
            match token.kind {
                Kind::BlockEntry => {
                    self.take()?;
                    if self.peek_is(&[Kind::BlockEntry, Kind::BlockEnd])? {
                        items.push(self.empty_behind(&token)?);
                    } else {
                        items.push(self.node(Place::Block)?);
                    }
                }
                Kind::BlockEnd => {
                    self.take()?;
                    return Ok(RawKind::Seq(items));
                }
                _ => return Err(self.no_item(&token)),
            }
        }
    }

    /// A list that is not indented more than its key.
    pub(super) fn bare_sequence(&mut self) -> Composing<RawKind<'t>> {
        let mut items = Vec::new();
        while self.scanner.peek()?.kind == Kind::BlockEntry {
            let token = self.take()?;
            if self.peek_is(&[Kind::BlockEntry, Kind::Key, Kind::Value, Kind::BlockEnd])? {
                items.push(self.empty_behind(&token)?);
            } else {
                items.push(self.node(Place::Block)?);
            }
        }
        Ok(RawKind::Seq(items))
    }

    pub(super) fn block_mapping(&mut self) -> Composing<RawKind<'t>> {
        self.take()?;
        let mut entries = Vec::new();
        loop {
            let token = self.scanner.peek()?.clone();
            match token.kind {
                Kind::Key => {
                    self.take()?;
                    let key = self.block_entry(&token)?;
                    let next = self.scanner.peek()?.clone();
                    let value = if next.kind == Kind::Value {
                        self.take()?;
                        self.block_entry(&next)?
                    } else {
                        self.empty_at(next.start)?
                    };
                    entries.push((key, value));
                }
                Kind::BlockEnd => {
                    self.take()?;
                    return Ok(RawKind::Map(entries));
                }
                _ => return Err(self.no_key(&token)),
            }
        }
    }

    /// A key or a value, if it is there.
    pub(super) fn block_entry(&mut self, before: &Token<'_>) -> Composing<Id> {
        if self.peek_is(&[Kind::Key, Kind::Value, Kind::BlockEnd])? {
            self.empty_behind(before)
        } else {
            self.node(Place::BlockInMapping)
        }
    }

    pub(super) fn flow_sequence(&mut self) -> Composing<RawKind<'t>> {
        let open = self.take()?.start;
        let mut items = Vec::new();
        loop {
            let token = self.scanner.peek()?.clone();
            match token.kind {
                Kind::FlowSequenceEnd => break,
                Kind::Key => items.push(self.collection(None, Self::single_pair)?),
                _ => items.push(self.node(Place::Flow)?),
            }
            if !self.flow_goes_on(open, &Kind::FlowSequenceEnd)? {
                break;
            }
        }
        self.take()?;
        Ok(RawKind::Seq(items))
    }

    /// Takes the `,` behind an entry of a flow collection. False at the collection's end.
    pub(super) fn flow_goes_on(&mut self, open: Mark, end: &Kind<'static>) -> Composing<bool> {
        let token = self.scanner.peek()?.clone();
        if token.kind == Kind::FlowEntry {
            self.take()?;
            return Ok(self.scanner.peek()?.kind != *end);
        }
        if token.kind == *end {
            return Ok(false);
        }
        Err(self.no_separator(open, &token, end))
    }

    /// `key: value` among the items of a list in brackets.
    pub(super) fn single_pair(&mut self) -> Composing<RawKind<'t>> {
        let before = self.take()?;
        let key = if self.peek_is(&[Kind::Value, Kind::FlowEntry, Kind::FlowSequenceEnd])? {
            // libyaml loses a token here, so that little of what may follow fits.
            self.take()?;
            if !self.peek_is(&[Kind::Value, Kind::FlowEntry, Kind::FlowSequenceEnd])? {
                return Err(Fault::new(self.span_of(&before), "an empty key in a list")
                    .hint("write the key, or the mapping with its braces: `{? : value}`"));
            }
            self.empty_behind(&before)?
        } else {
            self.node(Place::Flow)?
        };
        let value = self.flow_value(&[Kind::FlowEntry, Kind::FlowSequenceEnd])?;
        Ok(RawKind::Map(vec![(key, value)]))
    }

    pub(super) fn flow_value(&mut self, ends: &[Kind<'static>]) -> Composing<Id> {
        let token = self.scanner.peek()?.clone();
        if token.kind != Kind::Value {
            return self.empty_at(token.start);
        }
        self.take()?;
        if self.peek_is(ends)? {
            self.empty_behind(&token)
        } else {
            self.node(Place::Flow)
        }
    }

    pub(super) fn flow_mapping(&mut self) -> Composing<RawKind<'t>> {
        const ENDS: [Kind<'static>; 2] = [Kind::FlowEntry, Kind::FlowMappingEnd];
        let open = self.take()?.start;
        let mut entries = Vec::new();
        loop {
            let token = self.scanner.peek()?.clone();
            match token.kind {
                Kind::FlowMappingEnd => break,
                Kind::Key => {
                    self.take()?;
                    let key =
                        if self.peek_is(&[Kind::Value, Kind::FlowEntry, Kind::FlowMappingEnd])? {
                            self.empty_behind(&token)?
                        } else {
                            self.node(Place::Flow)?
                        };
                    entries.push((key, self.flow_value(&ENDS)?));
                }
                _ => {
                    let key = self.node(Place::Flow)?;
                    let value = self.empty_here()?;
                    entries.push((key, value));
                }
            }
            if !self.flow_goes_on(open, &Kind::FlowMappingEnd)? {
                break;
            }
        }
        self.take()?;
        Ok(RawKind::Map(entries))
    }
}
