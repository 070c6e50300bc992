//! What the crate promises, as data in and data out.

#[cfg(test)]
mod any_bytes;
#[cfg(test)]
mod attributes;
#[cfg(test)]
mod bulk;
#[cfg(test)]
mod cursor;
#[cfg(test)]
mod decide;
#[cfg(test)]
mod discovery;
#[cfg(test)]
mod extension_rules;
#[cfg(test)]
mod extensions;
#[cfg(test)]
mod filter;
#[cfg(test)]
mod open_end;
#[cfg(test)]
mod ownership;
#[cfg(test)]
mod patch;
#[cfg(test)]
mod patch_forms;
#[cfg(test)]
mod patch_model;
#[cfg(test)]
mod projection;
#[cfg(test)]
mod render;
#[cfg(test)]
mod rfc_examples;
#[cfg(test)]
mod root_filter;
#[cfg(test)]
mod search_form;
#[cfg(test)]
mod sort;
#[cfg(test)]
mod values;
#[cfg(test)]
mod wire_format;
