//! YAML text in, a positioned tree out, within bounds: a small file must not become a large tree.

use std::collections::HashMap;

use fracas_core::problem::{Problem, Result, codes};
use serde_saphyr::granit_parser::{Event, Marker, Options, Parser, ScalarStyle, ScanError, Span, Tag};

use crate::place::{Sources, Spot, quoted};
use crate::tree::{Entry, Node, Scalar, Value};

/// Values in a document, those that aliases repeat included: a "billion laughs" ends here.
const MOST_NODES: usize = 20_000;
/// Bytes of the texts that aliases repeat: few values may be long ones.
const MOST_REPEATED: usize = 4 << 20;
/// Maps and lists in each other.
const DEEPEST: usize = 64;
/// Keys of one map: each is compared with all.
const MOST_KEYS: usize = 1_000;
/// Characters of one line: whatever is wrong in it is printed under it.
const LONGEST_LINE: usize = 8_192;

/// Parses one document. `source` is its index in `sources`.
pub(crate) fn parse(text: &str, source: usize, sources: &Sources) -> Result<Node> {
    if let Some(index) = text.lines().position(|line| line.chars().count() > LONGEST_LINE) {
        let spot = Spot {
            source,
            line: index + 1,
            column: 1,
            length: 1,
        };
        let mut place = sources.place(spot);
        place.text = place.text.chars().take(80).collect::<String>() + "…";
        return Err(Problem::new(
            &codes::DOCUMENT_SYNTAX,
            format!("line {} is longer than {LONGEST_LINE} characters", index + 1),
        )
        .at(place));
    }
    let mut options = Options::default();
    options.block_nesting_limit = DEEPEST;
    options.flow_nesting_limit = DEEPEST;
    let mut build = Build {
        source,
        sources,
        frames: Vec::new(),
        anchors: HashMap::new(),
        nodes: 0,
        repeated: 0,
        root: None,
    };
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event.map_err(|error| build.refused(&error, text))?;
        build.event(event, span)?;
    }
    build.root.take().ok_or_else(|| {
        let spot = Spot {
            source,
            line: 1,
            column: 1,
            length: 1,
        };
        Problem::new(&codes::DOCUMENT_SYNTAX, "the document is empty")
            .at(sources.place(spot))
            .next("`fracas template` prints a complete document")
    })
}

struct Build<'a> {
    source: usize,
    sources: &'a Sources,
    frames: Vec<Frame>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    repeated: usize,
    root: Option<Node>,
}

/// A list or map that is not complete yet.
struct Frame {
    spot: Spot,
    anchor: usize,
    open: Open,
}

enum Open {
    List(Vec<Node>),
    Map(Vec<Entry>, Option<(String, Spot)>),
}

impl Build<'_> {
    fn spot_at(&self, mark: Marker) -> Spot {
        Spot {
            source: self.source,
            line: mark.line().max(1),
            column: mark.col() + 1,
            length: 1,
        }
    }

    fn spot(&self, span: Span) -> Spot {
        let length = if span.start.line() == span.end.line() {
            span.end.col().saturating_sub(span.start.col()).max(1)
        } else {
            usize::MAX
        };
        Spot {
            length,
            ..self.spot_at(span.start)
        }
    }

    #[expect(clippy::unnecessary_box_returns, reason = "problems travel in boxes")]
    fn problem(&self, spot: Spot, what: String) -> Box<Problem> {
        Problem::new(&codes::DOCUMENT_SYNTAX, what).at(self.sources.place(spot))
    }

    /// What the parser refuses, at the place that a person must change.
    #[expect(clippy::unnecessary_box_returns, reason = "problems travel in boxes")]
    fn refused(&self, error: &ScanError, text: &str) -> Box<Problem> {
        let info = error.info();
        let spot = self.spot_at(*error.marker());
        let what = format!("this is not YAML: {info}");
        if info.contains("tab") {
            // The parser names the begin of what the tab cuts off; the tab itself is in that line or below.
            let mut below = text.lines().enumerate().skip(spot.line - 1);
            let tab = below.find_map(|(line, text)| Some((line, text.find('\t')?, text)));
            let spot = tab.map_or(spot, |(line, at, text)| Spot {
                line: line + 1,
                column: text[..at].chars().count() + 1,
                ..spot
            });
            return self
                .problem(spot, what)
                .next("indent with spaces; YAML does not allow tabs there");
        }
        let problem = self.problem(spot, what);
        match self.frames.last() {
            Some(frame) if info.contains("flow") => {
                let (line, column) = (frame.spot.line, frame.spot.column);
                problem.since(format!("the bracket in line {line}, column {column} is still open"))
            }
            _ => problem,
        }
    }

    fn event(&mut self, event: Event<'_>, span: Span) -> Result<()> {
        let spot = self.spot(span);
        match event {
            Event::DocumentStart(..) if self.root.is_some() => {
                Err(self.problem(spot, "a second document begins here; a file holds one".to_owned()))
            }
            Event::Scalar(text, style, anchor, tag) => {
                let mut plain = style == ScalarStyle::Plain;
                if let Some(tag) = tag {
                    plain = plain && !self.accept(&tag, spot)?;
                }
                let value = Value::Scalar(Scalar {
                    text: text.into_owned(),
                    plain,
                });
                self.complete(Node { spot, value }, anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.tag(tag.as_deref(), spot)?;
                self.open(Frame {
                    spot: Spot { length: 1, ..spot },
                    anchor,
                    open: Open::List(Vec::new()),
                })
            }
            Event::MappingStart(_, anchor, tag) => {
                self.tag(tag.as_deref(), spot)?;
                self.open(Frame {
                    spot: Spot { length: 1, ..spot },
                    anchor,
                    open: Open::Map(Vec::new(), None),
                })
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(frame) = self.frames.pop() else { return Ok(()) };
                let value = match frame.open {
                    Open::List(items) => Value::List(items),
                    Open::Map(entries, _) => Value::Map(entries),
                };
                self.complete(
                    Node {
                        spot: frame.spot,
                        value,
                    },
                    frame.anchor,
                )
            }
            Event::Alias(id) => {
                let Some(node) = self.anchors.get(&id) else {
                    return Err(self.problem(spot, "this alias stands inside the value that it repeats".to_owned()));
                };
                // Counted before the copy, so that the copy is never made if it is too much.
                let (more, bytes) = (node.count() - 1, node.bytes());
                self.spend(more, spot)?;
                self.repeat(bytes, spot)?;
                let copy = self.anchors.get(&id).cloned();
                copy.map_or(Ok(()), |copy| self.complete(copy, 0))
            }
            _ => Ok(()),
        }
    }

    /// Whether a scalar's tag makes it a text.
    fn accept(&self, tag: &Tag, spot: Spot) -> Result<bool> {
        self.tag(Some(tag), spot)?;
        Ok(tag.is_yaml_core_schema_tag("str"))
    }

    fn tag(&self, tag: Option<&Tag>, spot: Spot) -> Result<()> {
        match tag {
            Some(tag) if !tag.is_yaml_core_schema() => Err(self
                .problem(spot, format!("the tag {} has no meaning here", quoted(&tag.original())))
                .next("remove the tag")),
            _ => Ok(()),
        }
    }

    fn spend(&mut self, nodes: usize, spot: Spot) -> Result<()> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes <= MOST_NODES {
            return Ok(());
        }
        Err(self
            .problem(
                spot,
                format!("the document holds more than {MOST_NODES} values, those that aliases repeat included"),
            )
            .next("split the document, or use fewer aliases"))
    }

    fn repeat(&mut self, bytes: usize, spot: Spot) -> Result<()> {
        self.repeated = self.repeated.saturating_add(bytes);
        if self.repeated <= MOST_REPEATED {
            return Ok(());
        }
        let what = format!("aliases repeat more than {} KiB of texts", MOST_REPEATED / 1024);
        Err(self.problem(spot, what).next("use fewer aliases, or shorter texts"))
    }

    fn open(&mut self, frame: Frame) -> Result<()> {
        if self.frames.len() >= DEEPEST {
            return Err(self.problem(
                frame.spot,
                format!("more than {DEEPEST} lists and maps are nested in each other"),
            ));
        }
        self.frames.push(frame);
        Ok(())
    }

    fn complete(&mut self, node: Node, anchor: usize) -> Result<()> {
        self.spend(1, node.spot)?;
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        let Some(frame) = self.frames.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match &mut frame.open {
            Open::List(items) => items.push(node),
            Open::Map(entries, waiting) => {
                if let Some((key, spot)) = waiting.take() {
                    entries.push(Entry { key, spot, value: node });
                    return Ok(());
                }
                let Value::Scalar(scalar) = node.value else {
                    return Err(self.problem(node.spot, "a key must be a word, not a list or a map".to_owned()));
                };
                if let Some(first) = entries.iter().find(|entry| entry.key == scalar.text) {
                    let line = first.spot.line;
                    let what = format!("the key {} is there twice; first in line {line}", quoted(&scalar.text));
                    return Err(self.problem(node.spot, what).next("remove one of the two"));
                }
                if entries.len() >= MOST_KEYS {
                    return Err(self.problem(node.spot, format!("a map has more than {MOST_KEYS} keys")));
                }
                *waiting = Some((scalar.text, node.spot));
            }
        }
        Ok(())
    }
}
