//! The built program against operators' mistakes and raw nodes.

mod bill;
mod links;
mod node;
mod site;
mod startup;
